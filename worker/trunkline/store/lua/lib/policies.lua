-- policies: what the newest configuration says of a profile.

-- A profile's policy, read once a script; nil for one that nobody published.
local policies = {}

local function policy(p)
  local known = policies[p]
  if known == nil then
    local account_name, size, wait, fingerprint, directions, paused, refused, succeeded_under, alike_under,
      alike_signature,
      moved_at, last_attached, canary = unpack(call('HMGET', P .. 'policy:' .. p, POLICY.account, POLICY.batch_size,
      POLICY.max_wait, POLICY.fingerprint, POLICY.directions, POLICY.paused, POLICY.refused, POLICY.succeeded_under,
      POLICY.alike_under, POLICY.alike_signature, POLICY.moved_at, POLICY.last_attached, POLICY.canary))
    known = account_name and { account = account_name, size = tonumber(size), wait = tonumber(wait),
      fingerprint = fingerprint,
      directions = directions, paused = paused, refused = refused, succeeded_under = succeeded_under,
        alike_under = alike_under,
      alike_signature = alike_signature, moved = moved_at, last_attached = last_attached, canary = canary } or false
    policies[p] = known
  end
  return known or nil
end
