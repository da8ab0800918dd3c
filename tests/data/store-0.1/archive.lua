-- archive: lets go of entries that were closed (attached, superseded, dropped) before a day; they stay counted.
--
-- ARGV[2]  the first day that is kept, in days since 1970
-- ARGV[3]  how many at most
-- Result   {archived, looked at}: call again until nothing was looked at
-- Cost     5 commands an entry
local keep_from, most = tonumber(ARGV[2]), tonumber(ARGV[3])
local archived, looked_at = 0, 0

local function let_go(p, n, key)
  call('DEL', key)
  local pol = policy(p)
  if not pol then return end
  for _, d in ipairs({ 'i', 'o' }) do
    if owner_of(pol.a, n, d) == p then call('HDEL', P .. 'route:' .. pol.a .. ':' .. n, d) end
  end
end

while looked_at < most do
  local first = call('ZRANGEBYSCORE', P .. 'closed', '-inf', '(' .. keep_from, 'LIMIT', 0, 1)
  if not first[1] then break end
  local item = call('LPOP', P .. 'closed:' .. first[1])
  if not item then
    call('ZREM', P .. 'closed', first[1])
  else
    looked_at = looked_at + 1
    local p, n = string.match(item, '^(%S+) (.+)$')
    local key = entry_key(p, n)
    local e = call('HMGET', key, 's', 'u', 'z')
    local closed = e[1] == 'a' or e[1] == 's' or e[1] == 'x'
    if closed and math.floor(tonumber(e[2] or 0) / DAY) < keep_from then
      if e[3] then
        close_entry(p, n) -- its stale place is still in a list: later
      else
        let_go(p, n, key)
        count(p, BOOK_OF[e[1]], -1)
        count(p, 'archived', 1)
        archived = archived + 1
      end
    end
  end
end
write_closed()
finish()
return { archived, looked_at }
