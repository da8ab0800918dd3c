#!lua flags=allow-oom
-- publish: what the scripts need of profiles and accounts that nobody has published yet; what a worker carries is left as it is.
--
-- ARGV[2]  JSON {accounts: {name: "cap iv"}, profiles: {name: "fingerprint account size wait directions trunk"}}
-- Result   how many profiles are new
-- Cost     1 command for a known name, 4 for a new one
-- @include schedule
local said = cjson.decode(ARGV[2])
local added = 0
for a, text in pairs(said.accounts) do
  if call('SADD', P .. 'accounts', a) == 1 then
    local cap, iv = string.match(text, '^(%S+) (%S+)$')
    call('HSET', P .. 'account:' .. a, ACCOUNT.max_calls, cap, ACCOUNT.interval, iv)
    to_touch[a] = true
  end
end
for p, text in pairs(said.profiles) do
  if call('SISMEMBER', P .. 'policies', p) == 0 then
    local fp, a, size, wait, dirs, trunk = string.match(text, '^(%S+) (%S+) (%S+) (%S+) (%S+) ?(%S*)$')
    call('HSET', P .. 'policy:' .. p, POLICY.account, a, POLICY.batch_size, size, POLICY.max_wait, wait,
      POLICY.fingerprint, fp, POLICY.directions, dirs, POLICY.trunk, trunk)
    call('SADD', P .. 'policies', p)
    schedule(p)
    added = added + 1
  end
end
finish()
return added
