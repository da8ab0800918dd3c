#!lua
-- reject: keeps what was delivered and could not be taken in, for the operator, until forget is told to let go of it. What does
-- not fit is not kept, and nothing is ever let go of to make room. The same rejection again takes the older one's place and
-- counts its times.
--
-- ARGV[2]  how many bytes may be kept in all with it, or "" for any number
-- ARGV[3]  from how many bytes on somebody is to be warned
-- ARGV[4]  "1" to count an event as rejected (no push did), or ""
-- ARGV[5]  "1" if it came (again); "" if one that came before is only told of anew: it stays where it was in the order,
--          and one that is not there any more stays away
-- ARGV[6]  id
-- ARGV[7…] source, code, message, the body's length as it came, request, body
-- Result   0 it did not fit, and nothing was changed; 1 it is kept; 2 it is kept, and with it there are enough to warn of
-- Cost     8 commands
-- @include books
local INDEX = P .. 'rejected'

local function rejected_key(id) return INDEX .. ':' .. id end

-- In the order they came, within a millisecond and though the clock may step back.
local function next_place()
  local newest = call('ZRANGE', INDEX, -1, -1, 'WITHSCORES')[2]
  return string.format('%.3f', math.max(NOW, (tonumber(newest) or 0) + 0.001))
end

local function keep(most, warn_at, counts, came, id, source, code, message, length, request, body)
  local key = rejected_key(id)
  local size = #source + #code + #message + #request + #body
  local old_size, first_at, last_at, times = unpack(call('HMGET', key, REJECTION.size, REJECTION.first_at,
    REJECTION.last_at, REJECTION.times))
  if not came and not old_size then return 1 end
  local grows = size - (old_size or 0)
  local had = tonumber(call('HGET', P .. 'books', 'rejected_bytes') or 0)
  if most and grows > 0 and had + grows > most then return 0 end
  local place = not came and call('ZSCORE', INDEX, id) or next_place()
  call('HSET', key, REJECTION.source, source, REJECTION.code, code, REJECTION.message, message,
    REJECTION.body_length, length, REJECTION.request, request, REJECTION.body, body, REJECTION.size, size,
    REJECTION.first_at, first_at or NOW, REJECTION.last_at, came and NOW or last_at, REJECTION.times, (times
      or 0) + (came and 1 or 0))
  call('ZADD', INDEX, place, id)
  -- The indexes by source of the first releases; nobody reads them any more.
  call('DEL', P .. 'rejected_of:' .. source, P .. 'rejected_counts', P .. 'rejected_sizes')
  tally('rejected_bytes', grows)
  if counts then tally('rejected', 1) end
  return had < warn_at and had + grows >= warn_at and 2 or 1
end

local result = keep(tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1', ARGV[5] == '1', unpack(ARGV, 6, 12))
finish()
return result
