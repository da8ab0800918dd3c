#!lua flags=allow-oom
-- archive: lets go of entries that were closed (attached, superseded, dropped) long ago; they stay counted. It follows the log of
-- ends by a cursor: what is dead or waits again is passed over, since its next end comes later in the log. No entry goes
-- whose end a consumer of the log (cursors) has not read.
--
-- ARGV[2]  how long a closed entry is kept, ms
-- ARGV[3]  how many at most
-- Result   {archived, looked at}: call again until nothing was looked at
-- Cost     5 commands an entry
-- @include claims
local keep, most = tonumber(ARGV[2]), tonumber(ARGV[3])
local CURSOR = 'archive'
local archived, looked_at = 0, 0

local function is_closed(s) return s == STATE.attached or s == STATE.superseded or s == STATE.dropped end

local function let_go(p, n, key)
  call('DEL', key)
  call('ZREM', P .. 'ended', p .. ' ' .. n)
  withdraw(n, p)
end

-- What schema 1 listed by day enters the log, in that order.
local function take_over()
  while looked_at < most do
    local day = call('ZRANGE', P .. 'closed', 0, 0)[1]
    if not day then return end
    local item = call('LPOP', P .. 'closed:' .. day)
    if not item then
      call('ZREM', P .. 'closed', day)
    else
      looked_at = looked_at + 1
      local p, n = string.match(item, '^(%S+) (.+)$')
      if is_closed(call('HGET', entry_key(p, n), E.state)) and not call('ZSCORE', P .. 'ended', item) then
        ends(p, n)
      end
    end
  end
end

local function slowest()
  local slowest_read = math.huge
  local flat = call('HGETALL', P .. 'cursors')
  for i = 1, #flat, 2 do
    if flat[i] ~= CURSOR then slowest_read = math.min(slowest_read, tonumber(flat[i + 1])) end
  end
  return slowest_read
end

take_over()
local at = call('HGET', P .. 'cursors', CURSOR) or '0'
local bound, passed = slowest(), at
local page = call('ZRANGEBYSCORE', P .. 'ended', '(' .. at, '+inf', 'WITHSCORES', 'LIMIT', 0, math.max(0,
  most - looked_at))
for i = 1, #page, 2 do
  local p, n = string.match(page[i], '^(%S+) (.+)$')
  local key = entry_key(p, n)
  local state, updated_at, stale_place, queued_at = unpack(call('HMGET', key, E.state, E.updated_at, E.stale_place,
    E.queued_at))
  if tonumber(page[i + 1]) > bound then break end
  if is_closed(state) then
    local closed = tonumber(updated_at or queued_at or 0)
    local ahead = closed > NOW + FUTURE
    if closed + keep > NOW and not ahead then break end
    -- the clock stood ahead, or its stale place is still in a list: later, as if it ended now
    if ahead or stale_place then
      call('HSET', key, E.updated_at, NOW)
      ends(p, n)
    else
      let_go(p, n, key)
      count(p, BOOK_OF[state], -1)
      count(p, 'archived', 1)
      archived = archived + 1
    end
  elseif not state then
    call('ZREM', P .. 'ended', page[i])
  end
  passed = page[i + 1]
  looked_at = looked_at + 1
end
if passed ~= at then call('HSET', P .. 'cursors', CURSOR, passed) end
finish()
return { archived, looked_at }
