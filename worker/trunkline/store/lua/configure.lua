#!lua flags=allow-oom
-- configure: keeps a worker's configuration under its digest, page by page; the last page makes it known. The policies follow
-- it by govern, as long as it is the newest that a living worker has.
--
-- ARGV[2]  the digest
-- ARGV[3]  the worker's id: pages of two workers don't mix
-- ARGV[4]  JSON {accounts: …, profiles: …}, as in publish
-- ARGV[5]  "1": the last page
-- ARGV[6]  when this worker knows it to have been first seen, or "": a store that was restored may have forgotten that
-- Result   when it was first seen, or 0 before the last page
-- Cost     2 commands, and 3 for the last page
local digest, said = ARGV[2], cjson.decode(ARGV[4])
local key = P .. 'config:' .. digest
local draft = key .. ':' .. ARGV[3]
local fields = { 'digest', digest }
for a, text in pairs(said.accounts) do
  fields[#fields + 1] = 'a:' .. a
  fields[#fields + 1] = text
end
for p, text in pairs(said.profiles) do
  fields[#fields + 1] = 'p:' .. p
  fields[#fields + 1] = text
end
for from = 1, #fields, 1000 do call('HSET', draft, unpack(fields, from, math.min(from + 999, #fields))) end
call('PEXPIRE', draft, 600000)
if ARGV[5] == '1' then
  call('RENAME', draft, key)
  call('PERSIST', key)
  local newest = tonumber(call('ZRANGE', P .. 'configs', -1, -1, 'WITHSCORES')[2]) or 0
  -- in the order of coming, though the clock may step back
  call('ZADD', P .. 'configs', 'NX', tonumber(ARGV[6]) or math.max(NOW, newest + 1), digest)
  return call('ZSCORE', P .. 'configs', digest)
end
return '0'
