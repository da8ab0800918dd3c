#!lua flags=no-writes,allow-oom
-- look: what a dispatcher needs to know, each tick: how many batches it may claim now, and when to look again.
--
-- ARGV[2]  count no further than this
-- ARGV[3]  the digest of the worker's configuration, or "": it carries everything
-- Result   {batches that may be claimed, ms until something else is due or "", ms until the next lease ends (0: now) or ""}
-- Cost     3 commands when nothing is due, and 2 for each 64 due profiles that are others'
-- @include accounts
-- @include configurations
local most, DIGEST = tonumber(ARGV[2]), ARGV[3]
local function claimable(a)
  local acc = account(a)
  if acc.open_until then return 1 end -- a probe
  local slots, n, from = math.min(acc.max_calls - acc.calls, most), 0, 0
  while slots > 0 do
    local names = call('ZRANGEBYSCORE', P .. 'due:' .. a, '-inf', NOW, 'LIMIT', from, PAGE)
    for _, p in ipairs(ours(DIGEST, names)) do
      local pol = policy(p)
      n = n + math.max(1, math.ceil(call('LLEN', P .. 'ready:' .. p) / pol.size)) + call('LLEN', P .. 'split:' .. p)
      if n >= slots then return slots end
    end
    if #names < PAGE then break end
    from = from + PAGE
  end
  return n
end

local batches, soonest = 0, nil
for _, a in ipairs(call('ZRANGEBYSCORE', P .. 'due', '-inf', NOW, 'LIMIT', 0, 1000)) do
  if batches >= most then break end
  if is_ours(DIGEST, a) then
    local n = claimable(a)
    batches = batches + n
    local later = n == 0 and due_later(DIGEST, a) or nil
    if later then soonest = math.min(soonest or later, later) end
  end
end
local next_due = call('ZRANGEBYSCORE', P .. 'due', '(' .. NOW, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
if next_due[2] then soonest = math.min(soonest or math.huge, tonumber(next_due[2])) end
local lease = call('ZRANGE', P .. 'leases', 0, 0, 'WITHSCORES')
return { math.min(batches, most), soonest and math.ceil(soonest - NOW) or '',
  lease[2] and math.max(0, math.ceil(lease[2] - NOW)) or '' }
