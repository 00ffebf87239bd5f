package follow

import (
	"testing"
	"time"

	"golang.org/x/time/rate"
)

func TestTrickles(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name         string
		events, size int
		age          time.Duration
		want         bool
	}{
		{"a line now and then", 1, 80, time.Second, true},
		{"nothing, which may be an empty page with more behind it", 0, 0, 0, false},
		{"what a busy build has written since the last look", 1500, 120_000, time.Second, true},
		{"a page of many lines", 9000, 500_000, time.Second, false},
		{"few lines that fill a page", 4, 1 << 20, time.Second, false},
		{"few lines of a backlog", 9, 800, time.Minute, false},
		{"a clock that is behind CloudWatch's", 1, 80, -time.Hour, true},
	} {
		if got := trickles(test.events, test.size, now.Add(-test.age), now); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

// One refusal does not change the pace for ever.
func TestLimiter(t *testing.T) {
	t.Parallel()
	l := newLimiter()
	l.answered()
	if l.Limit() != rate.Inf {
		t.Errorf("got %v before any refusal, want no bound", l.Limit())
	}
	l.throttled()
	if l.Limit() != rateThrottled {
		t.Errorf("got %v after the first refusal, want %v", l.Limit(), rateThrottled)
	}
	for range 10 {
		l.throttled()
	}
	if l.Limit() != rateLeast {
		t.Errorf("got %v after many, want %v", l.Limit(), rateLeast)
	}
	answers := 0
	for ; l.Limit() != rate.Inf && answers < 1000; answers++ {
		l.answered()
	}
	if want := int((rateFree - rateLeast) / rateStep); answers != want {
		t.Errorf("free again after %d answers, want %d", answers, want)
	}
}
