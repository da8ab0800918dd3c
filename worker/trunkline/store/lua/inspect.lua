#!lua flags=no-writes,allow-oom
-- inspect: looks at a slice of the store and says what is wrong in it, or may be; it changes nothing.
--
-- ARGV[2]  what; ARGV[3…] of which:
--   entries  (profile, number) for each: {their states, a letter each ("-": gone, "?": unknown), what else has to be seen of each:
--            "r" once in ready or split, "b" in a batch, "." in neither, "!" something is wrong}
--   places   a profile, "ready" or "split", first and last index: {what is there, the numbers of it that look wrong}
--   retry    a profile, numbers that were there: those that look wrong
--   names    (profile, number) for each: the codes of what is wrong with it, joined by spaces
--   batches  ids: {code or "", profile, account, numbers joined by "\n", those that look wrong, those not in inflight} for each
--   adrift   an account, numbers: those that are in flight and in no batch
--   runs     accounts: {batches under way as counted, as noted} for each
--   claims   (account, number) for each: the profiles that have a claim and no entry, joined by spaces
--   dead     members: those that are not dead
--   rejected ids: {code or "", the size that it notes} for each
--   due      the slack (ms), profiles: a code or "" for each
--   accounts the slack (ms), accounts: a code or "" for each
--   books    profiles: their books and what else moves with their entries, as lines "field=value"
--   waiting  {the sum of the profiles' queued, what the books say}
-- Cost     6 commands an entry, 2 of anything else; names, adrift, runs: all batches, and a look through the lists for each name
-- @include judge
local what = ARGV[2]


local function has_right_time(p, n, state, next_at)
  local score = call('ZSCORE', P .. 'retry:' .. p, n)
  if state == STATE.queued and next_at then return score and tonumber(score) == tonumber(next_at) end
  return not score
end

local function is_listed(p, n, s)
  local name = p .. ' ' .. n
  if (s == STATE.dead) ~= (call('ZSCORE', P .. 'dead', name) and true or false) then return false end
  if not migrated then return true end
  return (OPEN[s] or call('ZSCORE', P .. 'ended', name)) and (s == STATE.dropped or #claimed_on(p, n) > 0)
end

local function entry_mark(p, n)
  local s, next_at, stale_place = unpack(call('HMGET', entry_key(p, n), E.state, E.next_at, E.stale_place))
  if not BOOK_OF[s or ''] then return call('EXISTS', entry_key(p, n)) == 1 and '?' or '-', '!' end
  if not has_right_time(p, n, s, next_at) or not is_listed(p, n, s) then return s, '!' end
  if s == STATE.queued then return s, next_at and '.' or 'r' end
  if s == STATE.attaching then return s, stale_place and '!' or 'b' end
  return s, stale_place and 'r' or '.'
end

local function is_place(p, n)
  local state, next_at, stale_place = unpack(call('HMGET', entry_key(p, n), E.state, E.next_at, E.stale_place))
  return (state == STATE.queued and not next_at) or (state and state ~= STATE.queued and stale_place)
end

local function is_retry(p, n)
  local score = call('ZSCORE', P .. 'retry:' .. p, n)
  if not score then return true end
  local state, next_at = unpack(call('HMGET', entry_key(p, n), E.state, E.next_at))
  return state == STATE.queued and next_at and tonumber(next_at) == tonumber(score)
end

-- The arguments from there on, those for which the function says true.
local function only(from, is)
  local found = {}
  for i = from, #ARGV do if is(ARGV[i]) then found[#found + 1] = ARGV[i] end end
  return found
end

local function each(from, fn)
  local out = {}
  for i = from, #ARGV do out[#out + 1] = fn(ARGV[i]) end
  return out
end

local function each_pair(fn)
  local out = {}
  for i = 3, #ARGV, 2 do out[#out + 1] = fn(ARGV[i], ARGV[i + 1]) end
  return out
end

local looks = {}

function looks.entries()
  local states, marks = {}, {}
  for i = 3, #ARGV, 2 do states[#states + 1], marks[#marks + 1] = entry_mark(ARGV[i], ARGV[i + 1]) end
  return { table.concat(states), table.concat(marks) }
end

function looks.places()
  local p, wrong = ARGV[3], {}
  local items = call('LRANGE', P .. ARGV[4] .. ':' .. p, ARGV[5], ARGV[6])
  for _, item in ipairs(items) do
    for _, n in ipairs(lines(item)) do
      if not is_place(p, n) then wrong[#wrong + 1] = n end
    end
  end
  return { items, wrong }
end

function looks.retry() return only(4, function(n) return not is_retry(ARGV[3], n) end) end

function looks.names()
  return each_pair(function(p, n) return table.concat(problems(p, n, facts(p, n)), ' ') end)
end

function looks.batches()
  return each(3, function(id)
    local code, p, a, text = batch_problem(id)
    local wrong, missing = {}, {}
    for _, n in ipairs(lines(text)) do
      if call('HGET', entry_key(p, n), E.state) ~= STATE.attaching then wrong[#wrong + 1] = n end
      if call('SISMEMBER', P .. 'inflight:' .. a, n) == 0 then missing[#missing + 1] = n end
    end
    return { code, p, a, text, wrong, missing }
  end)
end

function looks.adrift() return adrift(ARGV[3], 4) end

function looks.runs() return each(3, function(a) return { run_of(a) } end) end

function looks.claims()
  return each_pair(function(a, n)
    local without = {}
    for _, c in ipairs(migrated and read_claims(a, n).list or {}) do
      if call('EXISTS', entry_key(c.p, n)) == 0 then without[#without + 1] = c.p end
    end
    return table.concat(without, ' ')
  end)
end

function looks.dead()
  return only(3, function(member)
    local p, n = string.match(member, '^(%S+) (.+)$')
    return call('HGET', entry_key(p, n), E.state) ~= STATE.dead and call('ZSCORE', P .. 'dead', member)
  end)
end

function looks.rejected()
  return each(3, function(id)
    local code, says = rejection_problem(id)
    return { code, says }
  end)
end

function looks.due() return each(4, function(p) return profile_due_problem(p, tonumber(ARGV[3])) end) end

function looks.accounts() return each(4, function(a) return account_due_problem(a, tonumber(ARGV[3])) end) end

function looks.books() return each(3, books_of) end

function looks.waiting()
  local n = 0
  for _, p in ipairs(call('SMEMBERS', P .. 'policies')) do n = n + tonumber(call('HGET', P .. 'books:' .. p,
    'queued') or 0) end
  return { n, tonumber(call('HGET', P .. 'books', 'waiting') or 0) }
end

return looks[what]()
