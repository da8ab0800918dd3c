-- configurations: which profiles and accounts a worker's configuration carries.
-- @include policies

-- What a worker's configuration carries; the digest "" carries everything.
local PAGE = 64

-- Of these profiles, those that it carries as they were published.
local function ours(digest, names)
  if digest == '' or #names == 0 then return names end
  local fields, carried = {}, {}
  for i, p in ipairs(names) do fields[i] = 'p:' .. p end
  for i, text in ipairs(call('HMGET', P .. 'config:' .. digest, unpack(fields))) do
    local pol = text and policy(names[i])
    if pol and string.match(text, '^(%S+)') == pol.fingerprint then carried[#carried + 1] = names[i] end
  end
  return carried
end

local function is_ours(digest, a) return digest == '' or call('HEXISTS', P .. 'config:' .. digest, 'a:' .. a) == 1 end

-- When something of ours is due in an account that others' profiles keep due.
local function due_later(digest, a)
  local from = 0
  while true do
    local names = call('ZRANGEBYSCORE', P .. 'due:' .. a, '(' .. NOW, '+inf', 'LIMIT', from, PAGE)
    local first = ours(digest, names)[1]
    if first then return tonumber(call('ZSCORE', P .. 'due:' .. a, first)) end
    if #names < PAGE then return nil end
    from = from + PAGE
  end
end
