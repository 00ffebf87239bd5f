package task

import "time"

// Span is one part of the time until a task was ready.
type Span struct {
	Name     string
	Duration time.Duration
}

// Timeline divides the time from a task's creation until its SSH server
// answered, by ECS's own timestamps. Parts that ECS gives no times for are
// left out; ready is by this machine's clock, and a difference between the two
// clocks makes the last part shorter or longer, never negative.
func Timeline(t Task, ready time.Time) []Span {
	marks := []struct {
		name string
		end  time.Time
	}{
		{"provisioning", t.PullStartedAt},
		{"pulling the image", t.PullStoppedAt},
		{"starting", t.StartedAt},
		{"until SSH answered", ready},
	}
	var spans []Span
	from := t.CreatedAt
	for _, m := range marks {
		if m.end.IsZero() || from.IsZero() {
			continue
		}
		spans = append(spans, Span{m.name, max(0, m.end.Sub(from))})
		from = m.end
	}
	return spans
}
