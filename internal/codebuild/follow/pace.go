package follow

import (
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
)

// Mode is how much of the build's log is shown.
type Mode string

const (
	Full   Mode = "full"   // all of it
	Phases Mode = "phases" // only a line for each phase; the log's end is read to explain a failure
	Failed Mode = "failed" // its end, when the build has failed
	Off    Mode = "off"    // nothing, and CloudWatch is never asked
)

// Options says what to show and how often to ask.
type Options struct {
	Mode Mode // empty means Full
	// MaxBytes bounds what is shown of the log: beyond it only the end is. 0
	// means no bound. gitlab-runner itself cuts a job's log at output_limit
	// (4 MiB), which would hide the summary.
	MaxBytes int64
	Pace     Pace
}

// Pace is how often and how long to ask. A zero field means its default.
type Pace struct {
	// BuildMin and BuildMax bound the time between two looks at the build's
	// state: 3 s and 10 s.
	BuildMin, BuildMax time.Duration
	// LogMin and LogMax bound the time between two looks at a log in which
	// there was nothing new: 1.5 s and 8 s. While CloudWatch throttles, which it does
	// from 10 calls a second in an account on, it is up to four times as much.
	LogMin, LogMax time.Duration
	// Grace is how long the log must be quiet after the build's end to count as
	// complete where its last line cannot be told: 10 s. CloudWatch shows an
	// event some seconds after it was written.
	Grace time.Duration
	// Late is the same where the log is known to lack its end, 30 s: a build that
	// has run to its end says so in its last lines. Reserved fleets deliver the
	// log in bursts.
	Late time.Duration
	// Settle is the same where the last phase was seen to end: 3 s.
	Settle time.Duration
	// GiveUp is how long after the build's end a log that does not answer is
	// still asked for: a minute. The build's status stands without it.
	GiveUp time.Duration
	// Lost is how long AWS may be out of reach: 10 minutes.
	Lost time.Duration
	// Heartbeat is after how much silence a line shows that we are alive: 60 s.
	Heartbeat time.Duration
}

func (p Pace) withDefaults() Pace {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&p.BuildMin, 3 * time.Second}, {&p.BuildMax, 10 * time.Second},
		{&p.LogMin, 1500 * time.Millisecond}, {&p.LogMax, 8 * time.Second},
		{&p.Grace, 10 * time.Second}, {&p.Late, 30 * time.Second}, {&p.Settle, 3 * time.Second},
		{&p.GiveUp, time.Minute}, {&p.Lost, 10 * time.Minute}, {&p.Heartbeat, time.Minute},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return p
}

// What a follower asks together. CloudWatch allows an account 10 GetLogEvents a
// second, in newer ones 25, and many jobs follow their builds at once: whether
// there is room shows only in its answers. So a log that waits is fetched as fast
// as it comes until a call is throttled, then at half the rate after each
// refusal, and a little faster after each answer.
const (
	rateThrottled = 4.  // calls a second after the first refusal
	rateLeast     = 1.  // however often CloudWatch refuses
	rateStep      = .25 // faster after each answer
	rateFree      = 25. // from here on there is no bound again: no account has more
)

// limiter bounds the calls of a follower. It is not for concurrent use.
type limiter struct{ *rate.Limiter }

func newLimiter() limiter { return limiter{rate.NewLimiter(rate.Inf, 1)} }

// throttled slows down after a refusal.
func (l limiter) throttled() {
	if l.Limit() == rate.Inf {
		l.SetLimit(rateThrottled)
		return
	}
	l.SetLimit(max(l.Limit()/2, rateLeast))
}

// answered speeds up after an answer.
func (l limiter) answered() {
	if l.Limit() == rate.Inf {
		return
	}
	if l.SetLimit(l.Limit() + rateStep); l.Limit() >= rateFree {
		l.SetLimit(rate.Inf)
	}
}

// Half of what CloudWatch puts on a page, 10,000 events or 1 MiB. A page with less
// that is of just now is all there was, so there is time for a rest: a build that
// writes all the time would else be asked for every few lines.
const (
	trickleEvents = 5_000
	trickleBytes  = 512 << 10
	// trickleAge is the age up to which an event is of just now. CodeBuild's lines
	// reach CloudWatch, and CloudWatch shows them, within some seconds. What is
	// older is a backlog, however it is cut into pages.
	trickleAge = 15 * time.Second
)

// trickles tells whether a page is such a one. now is by CloudWatch's clock.
func trickles(events, size int, newest, now time.Time) bool {
	return events > 0 && events < trickleEvents && size < trickleBytes && now.Sub(newest) < trickleAge
}

// attempts of one call: we ask again anyway, and while one call is being
// repeated for a minute the other is not made at all.
const attempts = 2

// next adapts a waiting time: short while things change, longer in silence.
func next(wait time.Duration, changed bool, least, most time.Duration) time.Duration {
	if changed {
		return least
	}
	return min(wait*3/2, most)
}

// slower is the waiting time after a call that was throttled.
func slower(wait, most time.Duration) time.Duration {
	return min(max(2*wait, most), 4*most)
}

// jitter spreads a waiting time by a fifth to both sides, so that many jobs
// do not ask in step.
func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5+1)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
