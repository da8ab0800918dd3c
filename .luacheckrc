-- The server runs Lua 5.1; store/scripts.py puts the letters of store/fields.py in place of E.state and its like.
std = "lua51"
max_line_length = 120
max_comment_line_length = 135
read_globals = { "redis", "cjson", "KEYS", "ARGV", "E", "STATE", "VERIFY", "AGAIN", "POLICY", "ACCOUNT", "BATCH", "KIND", "REJECTION" }
ignore = { "311/^NOW$" } -- not every script asks for the time
