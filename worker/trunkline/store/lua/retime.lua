#!lua flags=allow-oom
-- retime: puts times right that were written while the clock stood ahead of what it says now.
--
-- ARGV[2]  a profile, or "" for accounts and leases; "done" once everything has been looked at
-- ARGV[3…] numbers of it that wait for their retry
-- Result   how many times were put right
-- Cost     2 commands a number
-- @include schedule
local p = ARGV[2]
local mended = 0

local function accounts()
  for _, a in ipairs(call('SMEMBERS', P .. 'accounts')) do
    local key = P .. 'account:' .. a
    local open_until, since, probe = unpack(call('HMGET', key, ACCOUNT.open_until, ACCOUNT.open_since,
      ACCOUNT.probe_lease))
    open_until, since, probe = tonumber(open_until or nil), tonumber(since or nil), tonumber(probe or nil)
    if open_until and (open_until > NOW + FUTURE or (since or 0) > NOW) then -- a probe that comes early does no harm
      call('HSET', key, ACCOUNT.open_until, math.min(open_until, NOW + FUTURE), ACCOUNT.open_since, math.min(since
        or NOW, NOW))
      mended = mended + 1
    end
    if probe and probe > NOW + FUTURE then call('HDEL', key, ACCOUNT.probe_lease) end
    to_touch[a] = true
  end
end

local function leases()
  local held = call('ZRANGE', P .. 'leases', 0, -1, 'WITHSCORES')
  for i = 1, #held, 2 do
    local length = tonumber(call('HGET', P .. 'batch:' .. held[i], BATCH.lease) or nil) or FUTURE
    if tonumber(held[i + 1]) > NOW + length then
      call('ZADD', P .. 'leases', NOW + length, held[i])
      mended = mended + 1
    end
  end
end

if p == '' then
  accounts()
  leases()
elseif p == 'done' then
  call('HDEL', P .. 'meta', 'retime')
else
  for i = 3, #ARGV do
    local key = entry_key(p, ARGV[i])
    local state, next_at, updated_at = unpack(call('HMGET', key, E.state, E.next_at, E.updated_at))
    local ahead = (tonumber(updated_at or nil) or 0) - NOW
    if state == STATE.queued and next_at and ahead > 0 then
      local at = math.max(NOW, tonumber(next_at) - ahead)
      call('ZADD', P .. 'retry:' .. p, at, ARGV[i])
      call('HSET', key, E.next_at, at, E.updated_at, NOW)
      mended = mended + 1
    end
  end
  schedule(p)
end
finish()
return mended
