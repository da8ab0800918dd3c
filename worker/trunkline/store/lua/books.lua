#!lua flags=no-writes,allow-oom
-- books: hashes and fields as they are at one moment; a server without memory runs this, where it refuses a transaction.
--
-- ARGV[2…] the names of hashes, without the prefix
-- Result   each hash as a list of fields and values
-- Cost     1 command a hash
local found = {}
for i = 2, #ARGV do found[#found + 1] = call('HGETALL', P .. ARGV[i]) end
return found
