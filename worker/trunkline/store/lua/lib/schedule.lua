-- schedule: when a batch of a profile may be claimed.
-- @include policies
-- @include accounts

-- Which profiles finish() has to look at again.
local to_schedule = {}

local function schedule(p) to_schedule[p] = true end

-- When the canary of a profile may go; nil while it is under way, false where there is none (any more).
local function canary_time(p, pol)
  if not pol.canary then return false end
  local state, next_at = unpack(call('HMGET', entry_key(p, pol.canary), E.state, E.next_at))
  if state == STATE.attaching then return nil end
  return state == STATE.queued and (tonumber(next_at) or NOW)
end

-- When a batch of the profile may be claimed, from what waits now; nil when nothing does or it may not go.
local function due_time(p, pol)
  if pol.paused or pol.refused then return nil end
  local canary = canary_time(p, pol)
  if canary ~= false then return canary end
  if call('EXISTS', P .. 'split:' .. p) == 1 then return NOW end
  local ready = call('LLEN', P .. 'ready:' .. p)
  if ready >= pol.size then return NOW end
  local due = nil
  if ready > 0 then
    local state, queued_at = unpack(call('HMGET', entry_key(p, call('LINDEX', P .. 'ready:' .. p, 0)), E.state,
      E.queued_at))
    local since = state == STATE.queued and tonumber(queued_at) or NOW
    -- queued later than now: the clock has stepped back
    due = state == STATE.queued and since <= NOW + STEP and since + pol.wait or NOW
  end
  local first = call('ZRANGE', P .. 'retry:' .. p, 0, 0, 'WITHSCORES')
  if first[1] then
    local nth = pol.size - ready - 1
    local full_at = tonumber(call('ZRANGE', P .. 'retry:' .. p, nth, nth, 'WITHSCORES')[2]) or math.huge
    if full_at <= NOW then return NOW end
    due = math.min(due or math.huge, tonumber(first[2]) + pol.wait, full_at)
  end
  return due
end

local function reschedule(p)
  local pol = policy(p)
  if not pol then return end
  local key = P .. 'due:' .. pol.account
  local due = due_time(p, pol)
  if due then
    local old = tonumber(call('ZSCORE', key, p) or nil)
    if not (old and old <= NOW and due <= NOW) then call('ZADD', key, due, p) end -- an earlier turn is kept
  else
    call('ZREM', key, p)
  end
  to_touch[pol.account] = true
end

function finishers.schedule()
  for p in pairs(to_schedule) do reschedule(p) end
end
