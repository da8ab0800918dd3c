#!lua flags=allow-oom
-- checkpoint: keeps where reading goes on, in place of what was kept, for a limited time.
--
-- ARGV[2]  its name: inventory:<source> or purchases:<source>
-- ARGV[3]  the text, or "" to forget it
-- ARGV[4]  how long it is kept, ms
-- Result   1
-- Cost     1 command
local key = P .. ARGV[2]
if ARGV[3] == '' then call('DEL', key) else call('SET', key, ARGV[3], 'PX', ARGV[4]) end
return 1
