-- settle: one outcome for every number of a batch, at once; a batch settles at most once, and a stranger's settle changes nothing.
-- What it is not told of becomes verify if the request was sent, and goes back as it was if not.
--
-- ARGV[2]  the batch's id
-- ARGV[3]  JSON {fp: fingerprint the worker sent under, attached: [number], healthy: the API answered as it should,
--            others: [[number, kind, at ms, code, api code, message, answer]], absent: [numbers a read-back did not find],
--            gate: {ms, reason} or absent, refused: {signature, number, reason} or absent}
--          kinds: retry (at, counts an attempt), verify (the same, read back first), dead (code of the dead letter in place
--          of at), split (halved into child batches), back (as it was, no attempt; at or 0 for at once;
--          the code "forbidden" is remembered: a bare 403 met it)
-- Result   1, or 0 if the batch is not ours any more
-- Cost     5 commands a number
local id, said = ARGV[2], cjson.decode(ARGV[3])
local b = call('HMGET', P .. 'batch:' .. id, 'p', 'a', 'n', 'k', 'sent')
if not b[1] then return 0 end
local p, a, numbers, kind, sent = b[1], b[2], lines(b[3]), b[4], b[5]
local outcome, absent = {}, {}
for _, n in ipairs(said.attached) do outcome[n] = { n, 'attached' } end
for _, o in ipairs(said.others) do outcome[o[1]] = o end
for _, n in ipairs(said.absent) do absent[n] = true end

local halves, backs = {}, {}
local n_attached = 0

local function close(n, key, state)
  call('HSET', key, 's', state, 'u', NOW)
  call('HDEL', key, 'k', 'c', 'v', 't', 'b', 'f', 'g', 'w')
  move(p, 'f', state)
  tell(p, n, state)
  close_entry(p, n)
end

local function attach(n, key, e)
  n_attached = n_attached + 1
  call('HSET', key, 's', 'a', 'u', NOW, 'p', said.fp, 'j', (tonumber(e.attempts) or 0) + 1)
  if e.marked then call('HDEL', key, 'k', 'c', 'v', 't', 'b', 'f', 'g', 'w', 'y', 'ec', 'ea', 'em', 'er') end
  tell(p, n, 'a')
  if e.again then
    call('HSET', key, 's', 'q', 'q', NOW, 'v', 'c')
    if e.again == 'f' then call('HSET', key, 'f', 1) end
    move(p, 'f', 'q')
    call('RPUSH', P .. 'ready:' .. p, n)
  else
    move(p, 'f', 'a')
    close_entry(p, n)
  end
end

local function note_error(key, o)
  call('HSET', key, 'ec', o[4], 'ea', o[5], 'em', o[6], 'er', o[7])
end

local function wait_until(n, key, at)
  call('HSET', key, 's', 'q', 'n', at, 'u', NOW)
  call('ZADD', P .. 'retry:' .. p, at, n)
  move(p, 'f', 'q')
end

local function try_again(n, key, o, in_doubt)
  call('HINCRBY', key, 'k', 1)
  note_error(key, o)
  if in_doubt and sent then
    call('HSET', key, 'v', 'd', 't', sent)
  elseif in_doubt then -- a read-back that did not work: the doubt, and since when, stay as they were
    call('HSETNX', key, 'v', 'd')
    call('HSETNX', key, 't', NOW)
  else
    call('HDEL', key, 'v', 't')
  end
  if absent[n] then call('HSET', key, 'b', 1) end
  call('HDEL', key, 'c')
  wait_until(n, key, o[3])
end

local function bury(n, key, e, o)
  call('HINCRBY', key, 'k', 1)
  note_error(key, o)
  call('HDEL', key, 'c', 'g', 'f', e.check and 'v' or 'c') -- refused: there is nothing left to check
  if e.again then -- a newer event came while it was under way: it counts
    call('HDEL', key, 'k')
    call('HSET', key, 's', 'q', 'q', NOW, 'u', NOW)
    if e.again == 'f' then call('HSET', key, 'f', 1) end
    move(p, 'f', 'q')
    call('RPUSH', P .. 'ready:' .. p, n)
  else
    move(p, 'f', 'd')
    die(p, n, o[3])
  end
end

-- What an event asked for during this call, the next one does.
local function carry(key, e)
  if e.again == 'f' then call('HSET', key, 'f', 1) end
  if e.again then call('HDEL', key, 'g') end
end

local function put_back(n, key, o)
  if o[3] and tonumber(o[3]) > 0 then
    wait_until(n, key, o[3])
  else
    call('HSET', key, 's', 'q', 'u', NOW)
    move(p, 'f', 'q')
    backs[#backs + 1] = n
  end
  if o[4] == 'forbidden' then call('HSET', key, 'y', 1) end
  call('HDEL', key, 'c')
end

for _, n in ipairs(numbers) do
  local key = entry_key(p, n)
  local v = call('HMGET', key, 'w', 'g', 'x', 'k', 'v', 'c', 'f', 'b', 'ec', 'y')
  local e = { wish = v[1], again = v[2], contended = v[3], attempts = v[4], check = v[5] == 'c', tried = sent or v[4] or v[5] == 'd',
    marked = v[1] or v[2] or v[4] or v[5] or v[6] or v[7] or v[8] or v[9] or v[10] }
  local o = outcome[n]
  if not o then o = { n, sent and 'verify' or 'back', sent and NOW or 0, 'not_told', '', 'the worker did not say what became of it', '' } end
  local what = o[2]
  local over = e.wish == 's' or (e.wish == 'x' and what ~= 'attached')
  -- a cancelled check that said nothing new: the number is attached as it was, under the fingerprint it had
  local stays = e.wish == 'x' and e.check and not e.contended and (what == 'verify' or what == 'back')
  if over then
    close(n, key, stays and 'a' or e.wish)
  elseif what == 'attached' then
    attach(n, key, e)
  elseif what == 'retry' or what == 'verify' then
    try_again(n, key, o, what == 'verify')
    carry(key, e)
  elseif what == 'dead' then
    bury(n, key, e, o)
  elseif what == 'split' then
    note_error(key, o)
    call('HSET', key, 's', 'q', 'u', NOW)
    carry(key, e)
    move(p, 'f', 'q')
    halves[#halves + 1] = n
  else
    put_back(n, key, o)
    carry(key, e)
  end
  if e.contended and e.tried and (over or what == 'attached' or what == 'dead') then reassert(a, n, p) end
end

if #halves > 0 then
  local middle = math.ceil(#halves / 2)
  call('RPUSH', P .. 'split:' .. p, table.concat(halves, '\n', 1, middle))
  if #halves > 1 then call('RPUSH', P .. 'split:' .. p, table.concat(halves, '\n', middle + 1)) end
end
if #backs > 0 then
  if kind == 's' then
    call('RPUSH', P .. 'split:' .. p, table.concat(backs, '\n'))
  elseif said.gate then
    call('RPUSH', P .. 'ready:' .. p, unpack(backs)) -- behind the others: the probe's batch is not the one that failed
  else
    local reversed = {}
    for i = #backs, 1, -1 do reversed[#reversed + 1] = backs[i] end
    call('LPUSH', P .. 'ready:' .. p, unpack(reversed))
  end
end

-- The automatic gate: closed by trouble with the account, opened wide by an answer that is in order.
local account_key = P .. 'account:' .. a
if said.gate then
  close_gate(a, said.gate.ms, said.gate.reason)
elseif said.healthy then
  call('HDEL', account_key, 'half')
  if call('HEXISTS', account_key, 'gu') == 0 then call('HDEL', account_key, 'gn', 'gt', 'gr') end
end

-- Three lone numbers refused alike under a fingerprint without a success: the profile is wrong, not the numbers.
local pol = policy(p)
if pol and n_attached > 0 and pol.ok ~= said.fp then
  call('HSET', P .. 'policy:' .. p, 'ok', said.fp)
  call('HDEL', P .. 'policy:' .. p, 'rf', 'rs', 'rn')
elseif pol and said.refused and pol.ok ~= said.fp and pol.fp == said.fp then
  local alike = pol.rf == said.fp and pol.rs == said.refused.signature and lines(pol.rn) or {}
  local known = false
  for _, n in ipairs(alike) do known = known or n == said.refused.number end
  if not known then alike[#alike + 1] = said.refused.number end
  call('HSET', P .. 'policy:' .. p, 'rf', said.fp, 'rs', said.refused.signature, 'rn', table.concat(alike, '\n'))
  if #alike >= 3 then
    call('HSET', P .. 'policy:' .. p, 'au', 'refused alike: ' .. said.refused.reason, 'aut', NOW)
    call('HDEL', P .. 'policy:' .. p, 'rf', 'rs', 'rn')
    pol.au = true
    for _, n in ipairs(alike) do
      local key = entry_key(p, n)
      if call('HGET', key, 's') == 'd' then
        call('ZREM', P .. 'dead', p .. ' ' .. n)
        call('HDEL', key, 'dc', 'da', 'k', 'c')
        call('HSET', key, 's', 'q', 'q', NOW, 'u', NOW)
        move(p, 'd', 'q')
        call('RPUSH', P .. 'ready:' .. p, n)
      end
    end
  end
end

end_batch(id, a, numbers)
wake_waiting(a, numbers)
schedule(p)
write_closed()
finish()
return 1
