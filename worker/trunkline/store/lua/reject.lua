#!lua
-- reject: keeps what was delivered and could not be taken in, for the operator, and lets go of it. How much is kept is bounded:
-- the source that holds most gives up its oldest, so that none loses its own to another that sends much; those are counted as
-- rejections_let_go. The same rejection again takes the older one's place and counts its times.
--
-- ARGV[2]  keep or drop
-- keep:
-- ARGV[3]  how many are kept at most
-- ARGV[4]  how many bytes of them at most
-- ARGV[5]  "1" to count an event as rejected (no push did), or ""
-- ARGV[6]  "1" if it came (again); "" if one that came before is only told of anew: it stays where it was in the order,
--          and one that is not there any more stays away
-- ARGV[7]  id
-- ARGV[8…] source, code, message, the body's length as it came, request, body (both "" where they are not kept)
-- Result   how many were let go for it
-- Cost     12 commands, and 11 for each that is let go
-- drop:
-- ARGV[3…] ids
-- Result   how many there were
-- Cost     7 commands each
local INDEX = P .. 'rejected'
local OF = P .. 'rejected_of:'
local COUNTS, SIZES = P .. 'rejected_counts', P .. 'rejected_sizes'

local function rejected_key(id) return INDEX .. ':' .. id end

-- The source holds so many bytes more, or less, and as many rejections as its index now has.
local function account_for(source, bytes)
  local n = call('ZCARD', OF .. source)
  if n == 0 then
    call('ZREM', COUNTS, source)
    call('ZREM', SIZES, source)
  else
    call('ZADD', COUNTS, n, source)
    call('ZINCRBY', SIZES, bytes, source)
  end
  tally('rejected_bytes', bytes)
end

local function let_go(id, source)
  local v = call('HMGET', rejected_key(id), 'z', 's')
  source = source or v[2]
  call('DEL', rejected_key(id))
  local was_there = call('ZREM', INDEX, id) == 1
  if source then
    call('ZREM', OF .. source, id) -- each turn of make_room takes one out of here, so it ends
    account_for(source, -(v[1] or 0))
  end
  return was_there
end

-- The oldest of the source that holds most, and that source. What has just come stays; of sources that hold alike, its own gives.
local function spare(ranking, id, source)
  local fullest = call('ZREVRANGE', ranking, 0, 1, 'WITHSCORES')
  local sources = { fullest[1], fullest[3] }
  if call('ZSCORE', ranking, source) == fullest[2] then table.insert(sources, 1, source) end
  for _, s in ipairs(sources) do
    local oldest = call('ZRANGE', OF .. s, 0, 1)
    local found = oldest[1] ~= id and oldest[1] or oldest[2]
    if found then return found, s end
  end
end

local function make_room(id, source, most, most_bytes)
  local gone = 0
  local bytes = tonumber(call('HGET', P .. 'books', 'rejected_bytes') or 0)
  while true do
    local ranking = call('ZCARD', INDEX) > most and COUNTS or bytes + (totals.rejected_bytes or 0) > most_bytes and SIZES
    if not ranking then break end
    local oldest, its_source = spare(ranking, id, source)
    if not oldest then break end
    let_go(oldest, its_source)
    gone = gone + 1
  end
  tally('rejections_let_go', gone)
  return gone
end

-- In the order they came, within a millisecond and though the clock may step back.
local function next_place()
  local newest = call('ZRANGE', INDEX, -1, -1, 'WITHSCORES')[2]
  return string.format('%.3f', math.max(NOW, (tonumber(newest) or 0) + 0.001))
end

local function keep(came, id, source, code, message, length, request, body)
  local key = rejected_key(id)
  local size = #source + #code + #message + #request + #body
  local before = call('HMGET', key, 'z', 's', 'f', 'l', 'n')
  if not came and not before[1] then return end
  local place = not came and call('ZSCORE', INDEX, id) or next_place()
  call('HSET', key, 's', source, 'c', code, 'm', message, 'y', length, 'r', request, 'b', body, 'z', size,
    'f', before[3] or NOW, 'l', came and NOW or before[4], 'n', (before[5] or 0) + (came and 1 or 0))
  local had = before[1] or 0
  if before[2] and before[2] ~= source then
    call('ZREM', OF .. before[2], id)
    account_for(before[2], -had)
    had = 0
  end
  call('ZADD', INDEX, place, id)
  call('ZADD', OF .. source, place, id)
  account_for(source, size - had)
end

if ARGV[2] == 'keep' then
  keep(ARGV[6] == '1', unpack(ARGV, 7, 13))
  if ARGV[5] == '1' then tally('rejected', 1) end
  local gone = make_room(ARGV[7], ARGV[8], tonumber(ARGV[3]), tonumber(ARGV[4]))
  finish()
  return gone
end
local dropped = 0
for i = 3, #ARGV do
  if let_go(ARGV[i]) then dropped = dropped + 1 end
end
finish()
return dropped
