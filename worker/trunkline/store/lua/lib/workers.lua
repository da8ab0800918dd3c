-- workers: the configurations of living workers.

-- The configurations of living workers, the newest first: of two, the one that was first seen later counts.
local function living_configurations()
  local digests, known = {}, {}
  for _, member in ipairs(call('ZRANGEBYSCORE', P .. 'workers', '(' .. NOW, '+inf')) do
    local digest = string.match(member, '^(%S+) ')
    if digest and not known[digest] then
      known[digest] = tonumber(call('ZSCORE', P .. 'configs', digest) or nil) or 0
      digests[#digests + 1] = digest
    end
  end
  table.sort(digests, function(x, y)
    if known[x] ~= known[y] then return known[x] > known[y] end
    return x > y
  end)
  return digests
end
