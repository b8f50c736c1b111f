-- What gateway.py asks of wrk: the request from the environment, the result as one line of JSON.
wrk.method = os.getenv("METHOD")
wrk.body = os.getenv("BODY")

function done(summary, latency)
   local e = summary.errors
   io.write(string.format(
      '{"requests":%d,"us":%d,"refused":%d,"broken":%d,"p50_us":%d,"p99_us":%d}\n',
      summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
      latency:percentile(50), latency:percentile(99)))
end
