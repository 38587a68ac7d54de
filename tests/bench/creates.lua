-- Creates, each of a free slot of its own: a resource at random, and there the slot after the last one.
-- At random, so that what two processes do at one moment meets as it does in life; in turn it never would.
-- wrk … -s creates.lua URL -- TOKEN PREFIX RESOURCES FIRST_SLOT EPOCH_SECONDS SLOT_SECONDS
-- One thread of wrk only; prints one line of JSON at the end.

local main

function setup(thread)
  assert(main == nil, "creates.lua counts in one thread: wrk -t1")
  main = thread
end

function init(args)
  local token
  token, prefix = args[1], args[2]
  resources, first, epoch, length = tonumber(args[3]), tonumber(args[4]), tonumber(args[5]), tonumber(args[6])
  headers = { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json" }
  math.randomseed(first + 1)
  taken = {}
  furthest = first
  asked = -1 -- wrk asks for one request beforehand, to look at it, and does not send it
end

function request()
  local resource = math.random(0, resources - 1)
  local slot = taken[resource] or first
  taken[resource] = slot + 1
  furthest = math.max(furthest, slot + 1)
  asked = asked + 1
  local start = os.date("!%Y-%m-%dT%H:%M:%SZ", epoch + slot * length)
  local finish = os.date("!%Y-%m-%dT%H:%M:%SZ", epoch + (slot + 1) * length)
  local body = '{"resource":"%s-%d","startTime":"%s","endTime":"%s"}'
  return wrk.format("POST", "/v1/reservations", headers, string.format(body, prefix, resource, start, finish))
end

function done(summary, latency, requests)
  local errors = summary.errors
  local line = '{"asked":%d,"answered":%d,"refused":%d,"broken":%d,"late":%d,"furthest":%d,'
    .. '"seconds":%f,"p50":%f,"p99":%f,"max":%f}'
  print(string.format(line, main:get("asked"), summary.requests, errors.status,
    errors.connect + errors.read + errors.write, errors.timeout, main:get("furthest"), summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
