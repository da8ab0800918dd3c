-- look: what a dispatcher needs to know, each tick: how many batches may be claimed now, and when to look again.
--
-- ARGV[2]  count no further than this
-- Result   {batches that may be claimed, ms until something else is due or "", ms until the next lease ends (0: now) or ""}
-- Cost     3 commands when nothing is due
local most = tonumber(ARGV[2])

local function claimable(a)
  local acc = account(a)
  if acc.gu then return 1 end -- a probe
  local slots, n = math.min(acc.cap - acc.run, most), 0
  for _, p in ipairs(call('ZRANGEBYSCORE', P .. 'due:' .. a, '-inf', NOW, 'LIMIT', 0, slots)) do
    local pol = policy(p)
    n = n + math.max(1, math.ceil(call('LLEN', P .. 'ready:' .. p) / pol.size)) + call('LLEN', P .. 'split:' .. p)
    if n >= slots then return slots end
  end
  return n
end

local batches = 0
for _, a in ipairs(call('ZRANGEBYSCORE', P .. 'due', '-inf', NOW, 'LIMIT', 0, most)) do
  if batches < most then batches = batches + claimable(a) end
end
local next_due = call('ZRANGEBYSCORE', P .. 'due', '(' .. NOW, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
local lease = call('ZRANGE', P .. 'leases', 0, 0, 'WITHSCORES')
return { math.min(batches, most), next_due[2] and math.ceil(next_due[2] - NOW) or '',
  lease[2] and math.max(0, math.ceil(lease[2] - NOW)) or '' }
