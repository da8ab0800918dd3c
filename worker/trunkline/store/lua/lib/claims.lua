-- claims: who wants a number, and who gets it.
-- @include policies
-- @include books
-- @include ends
-- @include places

-- Everybody with an entry of it has a claim, as old as its newest event. A direction
-- belongs to the newest claim of those profiles that send it, on this account, as their policies are now.

local function route_key(a, n) return P .. 'route:' .. a .. ':' .. n end

-- The claims on a number: a list of {p, t}, and the same by profile.
local function read_claims(a, n)
  local inbound, outbound, others = unpack(call('HMGET', route_key(a, n), 'i', 'o', 'h'))
  local list, of = {}, {}
  local function add(text)
    local t, p = string.match(text, '^(%S+) (.+)$')
    t = tonumber(t)
    if not t then return end
    if of[p] then
      of[p].t = math.max(of[p].t, t)
    else
      of[p] = { p = p, t = t }
      list[#list + 1] = of[p]
    end
  end
  if inbound then add(inbound) end
  if outbound then add(outbound) end
  for _, line in ipairs(others and lines(others) or {}) do add(line) end
  return { list = list, of = of, i = inbound, o = outbound, h = others }
end

local function sends(a, p, d)
  local pol = policy(p)
  return pol and pol.account == a and string.find(pol.directions, d, 1, true) ~= nil
end

local function owner_in(claims, a, d)
  local best = nil
  for _, c in ipairs(claims.list) do
    if (not best or c.t > best.t) and sends(a, c.p, d) then best = c end
  end
  return best
end

local function owns_any(claims, a, p)
  for d in string.gmatch('io', '.') do
    local owner = owner_in(claims, a, d)
    if owner and owner.p == p then return true end
  end
  return false
end

local function shares(a, p, q)
  for d in string.gmatch('io', '.') do
    if sends(a, p, d) and sends(a, q, d) then return true end
  end
  return false
end

local function claim_text(c) return string.format(c.t % 1 == 0 and '%d %s' or '%.3f %s', c.t, c.p) end

local function write_claims(claims, a, n)
  local key = route_key(a, n)
  local placed, others, set, gone = {}, {}, {}, {}
  for d in string.gmatch('io', '.') do
    local owner = owner_in(claims, a, d)
    local text = owner and claim_text(owner) or nil
    if owner then placed[owner.p] = true end
    if text and text ~= claims[d] then
      set[#set + 1] = d
      set[#set + 1] = text
    elseif claims[d] and not text then
      gone[#gone + 1] = d
    end
  end
  for _, c in ipairs(claims.list) do
    if not placed[c.p] then others[#others + 1] = claim_text(c) end
  end
  local rest = #others > 0 and table.concat(others, '\n') or nil
  if rest and rest ~= claims.h then
    set[#set + 1] = 'h'
    set[#set + 1] = rest
  elseif claims.h and not rest then
    gone[#gone + 1] = 'h'
  end
  if #set > 0 then call('HSET', key, unpack(set)) end
  if #gone > 0 then call('HDEL', key, unpack(gone)) end
end

-- The latest time up to this one that no other claim has: no two claims are equally old.
local function free_time(claims, t)
  local taken = {}
  for _, c in ipairs(claims.list) do taken[string.format('%.3f', c.t)] = true end
  while taken[string.format('%.3f', t)] do t = t - 0.001 end
  return t
end

-- Enters a claim that comes from elsewhere; of two that are as old, nobody knows which came first: the one that is here stays.
local function add_claim(claims, p, t)
  claims.of[p] = { p = p, t = free_time(claims, t) }
  claims.list[#claims.list + 1] = claims.of[p]
end

local function remove_claim(claims, p)
  claims.of[p] = nil
  for i, c in ipairs(claims.list) do
    if c.p == p then table.remove(claims.list, i); return end
  end
end

-- push keeps the numbers of a profile together until its end; what looks at places before that writes them out first.
local flush_ready = function() end

-- Sends an attached number again, as another profile's call may have changed what it had.
local function send_again(p, n)
  local key = entry_key(p, n)
  local state, stale_place = unpack(call('HMGET', key, E.state, E.stale_place))
  if state ~= STATE.attached then return false end
  call('HSET', key, E.state, STATE.queued, E.forced, 1, E.queued_at, NOW, E.updated_at, NOW)
  move(p, STATE.attached, STATE.queued)
  enqueue_again(p, n, stale_place)
  return true
end

-- After a call of p for these directions went out, the owner of one of them has to go again, if it has been attached.
-- It is newer, so this ends.
local function reassert(a, n, p, dirs)
  local claims = read_claims(a, n)
  for d in string.gmatch(dirs, '.') do
    local owner = owner_in(claims, a, d)
    if owner and owner.p ~= p then send_again(owner.p, n) end
  end
end

-- A newer claim took every direction of this profile's entry.
local function supersede(a, p, n)
  local key = entry_key(p, n)
  local s, next_at, contended, attempts, verify = unpack(call('HMGET', key, E.state, E.next_at, E.contended,
    E.attempts, E.verify))
  if s == STATE.attaching then call('HSET', key, E.wish, STATE.superseded); return end
  if s ~= STATE.queued and s ~= STATE.attached and s ~= STATE.dead then return end
  if s == STATE.queued then
    if not next_at then flush_ready(p) end
    give_up_place(p, n, next_at)
  end
  if s == STATE.dead then call('ZREM', P .. 'dead', p .. ' ' .. n) end
  call('HSET', key, E.state, STATE.superseded, E.updated_at, NOW, E.superseded_in, s)
  move(p, s, STATE.superseded)
  ends(p, n)
  local tried = attempts or verify == VERIFY.in_doubt -- an earlier try may have gone through
  if s == STATE.queued and contended and tried then reassert(a, n, p, policy(p).directions) end
end

-- A superseded entry owns a direction again. `untouched`: nothing was sent by whoever had it meanwhile.
local function restore(p, n, untouched)
  local key = entry_key(p, n)
  local state, stale_place, superseded_in, wish = unpack(call('HMGET', key, E.state, E.stale_place, E.superseded_in,
    E.wish))
  if state == STATE.attaching and wish == STATE.superseded then
    call('HDEL', key, E.wish)
    return true
  end
  if state ~= STATE.superseded then return false end
  call('HDEL', key, E.superseded_in)
  if superseded_in == STATE.dead then
    call('HSET', key, E.state, STATE.dead, E.updated_at, NOW, E.dead_at, NOW)
    call('ZADD', P .. 'dead', NOW, p .. ' ' .. n)
    move(p, STATE.superseded, STATE.dead)
    ends(p, n)
  elseif superseded_in == STATE.attached and untouched then
    call('HSET', key, E.state, STATE.attached, E.updated_at, NOW)
    move(p, STATE.superseded, STATE.attached)
    ends(p, n)
  else
    call('HDEL', key, E.attempts, E.crashes, E.verify, E.sent_at, E.known_absent, E.failed_whole_at, E.unread)
    call('HSET', key, E.state, STATE.queued, E.forced, 1, E.queued_at, NOW, E.updated_at, NOW)
    move(p, STATE.superseded, STATE.queued)
    enqueue_again(p, n, stale_place)
  end
  return true
end

-- Brings the other entries of a number in line with who owns what; p is who asks. Returns who shares a direction with p.
local function settle_claims(claims, a, n, p)
  local rivals = {}
  local mine = owns_any(claims, a, p)
  for _, c in ipairs(claims.list) do
    local pol = c.p ~= p and policy(c.p)
    if pol and pol.account == a then
      if not owns_any(claims, a, c.p) then
        supersede(a, c.p, n)
      else
        restore(c.p, n, false)
        if mine and shares(a, p, c.p) then rivals[#rivals + 1] = c.p end
      end
    end
  end
  return mine, rivals
end

local function contend(p, n, rivals)
  if #rivals == 0 then return end
  call('HSET', entry_key(p, n), E.contended, 1)
  for _, rival in ipairs(rivals) do
    if call('EXISTS', entry_key(rival, n)) == 1 then call('HSET', entry_key(rival, n), E.contended, 1) end
  end
end

-- Whether any other open or attached entry shares a direction with this one.
local function is_contended(claims, a, n, p)
  for _, c in ipairs(claims.list) do
    if c.p ~= p and shares(a, p, c.p) then
      local s = call('HGET', entry_key(c.p, n), E.state)
      if s == STATE.queued or s == STATE.attaching or s == STATE.attached or s == STATE.dead then return true end
    end
  end
  return false
end

-- Whether any profile of an account came, went or changed its directions since a batch of it was claimed.
local function has_moved_since(moved_at, claimed_at)
  if not moved_at then return false end
  claimed_at = tonumber(claimed_at or nil) or 0
  -- claimed later than now: the clock has stepped back
  return tonumber(moved_at) + STEP >= claimed_at or claimed_at > NOW + STEP
end

-- The accounts on which a profile may have a claim: one, unless it has moved.
local function accounts_of(p)
  local pol = policy(p)
  if not pol then return {} end
  return pol.moved and call('SMEMBERS', P .. 'accounts') or { pol.account }
end

-- Takes the claims of a profile on a number away; returns those that others have there, by account.
local function withdraw(n, p)
  local left = {}
  for _, a in ipairs(accounts_of(p)) do
    local claims = read_claims(a, n)
    if claims.of[p] then
      remove_claim(claims, p)
      write_claims(claims, a, n)
      left[a] = claims
    end
  end
  return left
end

-- Gives what these claims own back to entries that had lost it; returns how many.
local function give_back(claims, a, n, untouched)
  local given = 0
  for _, c in ipairs(claims.list) do
    local pol = policy(c.p)
    if pol and pol.account == a and owns_any(claims, a, c.p) and restore(c.p, n, untouched) then given = given + 1 end
  end
  return given
end

-- An entry was ended by hand: its claim is gone, and what it took goes back to whoever had it. `sent`: a call of it may have
-- gone out, on this account and for these directions. Returns how many entries got something back.
local function release(a, n, p, dirs, sent)
  local given = 0
  for other, claims in pairs(withdraw(n, p)) do given = given + give_back(claims, other, n, not sent) end
  if not sent then return given end
  reassert(a, n, p, dirs)
  for _, other in ipairs(accounts_of(p)) do
    -- where it was before it moved, and nobody knows for which directions
    if other ~= a then
      reassert(other, n, p, 'io')
    end
  end
  return given
end
