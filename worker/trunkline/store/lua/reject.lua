-- reject: keeps what was delivered and could not be taken in, for the operator, and lets go of it. How much is kept is bounded:
-- the oldest go, and are counted as rejections_let_go. The same rejection again takes the older one's place and counts its times.
--
-- ARGV[2]  keep or drop
-- keep:
-- ARGV[3]  how many are kept at most
-- ARGV[4]  how many bytes of them at most
-- ARGV[5]  "1" to count an event as rejected (no push did), or ""
-- ARGV[6]  id
-- ARGV[7…] source, code, message, the body's length as it came, request, body (both "" where they are not kept)
-- Result   how many were let go for it
-- Cost     7 commands, and 5 for each that is let go
-- drop:
-- ARGV[3…] ids
-- Result   how many there were
-- Cost     3 commands each
local INDEX = P .. 'rejected'

local function rejected_key(id) return INDEX .. ':' .. id end

local function let_go(id)
  local size = call('HGET', rejected_key(id), 'z')
  call('DEL', rejected_key(id))
  local was_there = call('ZREM', INDEX, id) == 1 -- each turn of make_room takes one out of the index, so it ends
  tally('rejected_bytes', -(size or 0))
  return was_there
end

local function make_room(id, most, most_bytes)
  local gone = 0
  local bytes = tonumber(call('HGET', P .. 'books', 'rejected_bytes') or 0)
  while call('ZCARD', INDEX) > most or bytes + (totals.rejected_bytes or 0) > most_bytes do
    local oldest = call('ZRANGE', INDEX, 0, 0)[1]
    if oldest == id then break end -- what has just come stays
    let_go(oldest)
    gone = gone + 1
  end
  tally('rejections_let_go', gone)
  return gone
end

local function keep(id, source, code, message, length, request, body)
  local key = rejected_key(id)
  local size = #source + #code + #message + #request + #body
  local before = call('HMGET', key, 'z', 'f', 'n')
  local newest = call('ZRANGE', INDEX, -1, -1, 'WITHSCORES')[2]
  call('HSET', key, 's', source, 'c', code, 'm', message, 'y', length, 'r', request, 'b', body, 'z', size,
    'f', before[2] or NOW, 'l', NOW, 'n', (before[3] or 0) + 1)
  -- in the order they came, within a millisecond and though the clock may step back
  call('ZADD', INDEX, string.format('%.3f', math.max(NOW, (tonumber(newest) or 0) + 0.001)), id)
  tally('rejected_bytes', size - (before[1] or 0))
end

if ARGV[2] == 'keep' then
  keep(unpack(ARGV, 6, 12))
  if ARGV[5] == '1' then tally('rejected', 1) end
  local gone = make_room(ARGV[6], tonumber(ARGV[3]), tonumber(ARGV[4]))
  finish()
  return gone
end
local dropped = 0
for i = 3, #ARGV do
  if let_go(ARGV[i]) then dropped = dropped + 1 end
end
finish()
return dropped
