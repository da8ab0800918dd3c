#!lua flags=allow-oom
-- govern: brings policies in line with the configurations of living workers: that of a profile is the one of the newest
-- configuration that has it. A profile that none has stays as it was; it waits, since a claim takes only what its worker carries.
--
-- ARGV[2]  JSON {accounts: [name], profiles: [name]}
-- ARGV[3]  the configurations that the pages before this one were for (the first: ""), joined by spaces
-- ARGV[4]  "1": the last page: from now on the policies are of these configurations, if they still are those of all who live
-- Result   {the configurations of all who live, joined by spaces: other than in ARGV[3] means to begin again, profiles changed}
-- Cost     2 commands a profile, and 8 for one that changes
-- @include workers
-- @include schedule
local said, before = cjson.decode(ARGV[2]), ARGV[3]
local digests = living_configurations()
local living = table.concat(digests, ' ')
local changed = 0

local function newest(field)
  for _, digest in ipairs(digests) do
    local text = call('HGET', P .. 'config:' .. digest, field)
    if text then return text, digest end
  end
end

for _, a in ipairs(said.accounts) do
  local text = newest('a:' .. a)
  if text then
    local cap, iv = string.match(text, '^(%S+) (%S+)$')
    local max_calls, interval = unpack(call('HMGET', P .. 'account:' .. a, ACCOUNT.max_calls, ACCOUNT.interval))
    if max_calls ~= cap or interval ~= iv then
      call('SADD', P .. 'accounts', a)
      call('HSET', P .. 'account:' .. a, ACCOUNT.max_calls, cap, ACCOUNT.interval, iv)
      to_touch[a] = true
    end
  end
end

-- Never earlier than the move before, though the clock may have stepped back.
local function note_move(a)
  local key = P .. 'account:' .. a
  local last_at = tonumber(call('HGET', key, ACCOUNT.moved_at) or nil) or 0
  if last_at > NOW + FUTURE then last_at = 0 end
  call('HSET', key, ACCOUNT.moved_at, math.max(last_at, NOW))
end

local function change(p, old, digest, fp, a, size, wait, dirs, trunk)
  local key = P .. 'policy:' .. p
  if old.account and old.account ~= a then
    call('ZREM', P .. 'due:' .. old.account, p)
    to_touch[old.account] = true
  end
  if old.account and (old.account ~= a or old.directions ~= dirs) then
    call('HSET', key, POLICY.moved_at, NOW)
    note_move(a)
    note_move(old.account)
  end
  if old.fingerprint and old.fingerprint ~= fp then -- a mended profile goes again
    call('HDEL', key, POLICY.refused, POLICY.refused_at, POLICY.alike_under, POLICY.alike_signature, POLICY.canary)
    call('DEL', P .. 'alike:' .. p)
  end
  call('HSET', key, POLICY.account, a, POLICY.batch_size, size, POLICY.max_wait, wait, POLICY.fingerprint, fp,
    POLICY.directions, dirs, POLICY.trunk, trunk, POLICY.configuration, digest)
  call('HDEL', key, POLICY.gone)
  call('SADD', P .. 'policies', p)
  policies[p] = nil
  schedule(p)
  changed = changed + 1
end

for _, p in ipairs(said.profiles) do
  local text, digest = newest('p:' .. p)
  if text then
    local fp, a, size, wait, dirs, trunk = string.match(text, '^(%S+) (%S+) (%S+) (%S+) (%S+) ?(%S*)$')
    local account_name, batch_size, max_wait, fingerprint, directions, configuration, gone = unpack(call('HMGET',
      P .. 'policy:' .. p,
      POLICY.account, POLICY.batch_size, POLICY.max_wait, POLICY.fingerprint, POLICY.directions, POLICY.configuration,
        POLICY.gone))
    if account_name ~= a or batch_size ~= size or max_wait ~= wait or fingerprint ~= fp or directions ~= dirs
      or configuration ~= digest or gone then
      local old = { account = account_name, fingerprint = fingerprint, directions = directions }
      change(p, old, digest, fp, a, size, wait, dirs, trunk)
    end
  end
end
if ARGV[4] == '1' and living == before then call('HSET', P .. 'meta', 'governed', living) end
finish()
return { living, changed }
