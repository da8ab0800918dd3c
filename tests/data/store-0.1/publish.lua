-- publish: what the scripts need of the configuration, so that producers elsewhere need no file.
--
-- ARGV[2]  "1": this is the whole configuration and it counts (a worker); "0": only what nobody has published yet (a producer)
-- ARGV[3]  JSON {accounts: {name: {cap, iv}}, profiles: {name: {account, size, wait, fp, dirs, trunk}}}
-- Result   how many profiles changed
-- Cost     5 commands a profile
local whole, said = ARGV[2] == '1', cjson.decode(ARGV[3])
local changed = 0

for a, rule in pairs(said.accounts) do
  if whole or call('SISMEMBER', P .. 'accounts', a) == 0 then
    call('SADD', P .. 'accounts', a)
    call('HSET', P .. 'account:' .. a, 'cap', rule.cap, 'iv', tostring(rule.iv))
    to_touch[a] = true
  end
end

for p, rule in pairs(said.profiles) do
  local old = policy(p)
  if not old or whole then
    local same = old and not old.gone and old.a == rule.account and old.size == rule.size and old.wait == rule.wait
      and old.fp == rule.fp and old.dirs == rule.dirs
    if not same then
      local key = P .. 'policy:' .. p
      if old and old.a ~= rule.account then
        call('ZREM', P .. 'due:' .. old.a, p)
        to_touch[old.a] = true
      end
      call('HSET', key, 'a', rule.account, 's', rule.size, 'w', rule.wait, 'fp', rule.fp, 'd', rule.dirs, 'tr', rule.trunk)
      call('HDEL', key, 'gone')
      if old and old.fp ~= rule.fp then call('HDEL', key, 'au', 'aut', 'rf', 'rs', 'rn') end -- a mended profile goes again
      call('SADD', P .. 'policies', p)
      policies[p] = nil
      schedule(p)
      changed = changed + 1
    end
  end
end

if whole then
  for _, p in ipairs(call('SMEMBERS', P .. 'policies')) do
    local pol = policy(p)
    if not said.profiles[p] and pol and not pol.gone then
      call('HSET', P .. 'policy:' .. p, 'gone', NOW)
      pol.gone = true
      schedule(p)
      changed = changed + 1
    end
  end
end
finish()
return changed
