package reaper

import (
	"strconv"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/record"
	"github.com/fargate-driver/fargate-driver/internal/task"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	launched := func(at time.Time, key string, deadline time.Time) task.Task {
		tk := task.Task{ARN: "arn", CreatedAt: at, Environment: []task.Variable{{Name: wire.EnvPublicKey, Value: key}}}
		if !deadline.IsZero() {
			tk.Environment = append(tk.Environment, task.Variable{Name: wire.EnvDeadline, Value: strconv.FormatInt(deadline.Unix(), 10)})
		}
		return tk
	}
	const limit = 30 * time.Minute
	for name, test := range map[string]struct {
		tasks  []task.Task
		owners []Owner
		orphan bool
		why    string
	}{
		"running job": {[]task.Task{launched(ago(5*time.Hour), "k", time.Time{})},
			[]Owner{{Record: record.Record{TaskARN: "arn", Created: ago(5 * time.Hour)}, Alive: true, LastSeen: ago(4 * time.Hour)}}, false, "a stage of the job runs"},
		"between two stages": {[]task.Task{launched(ago(5*time.Hour), "k", time.Time{})},
			[]Owner{{Record: record.Record{TaskARN: "arn", Created: ago(5 * time.Hour)}, LastSeen: ago(time.Second)}}, false, "its job was seen less than the limit ago"},
		"gitlab-runner died": {[]task.Task{launched(ago(5*time.Hour), "k", time.Time{})},
			[]Owner{{Record: record.Record{TaskARN: "arn", Created: ago(5 * time.Hour)}, LastSeen: ago(time.Hour)}}, true, "its job was not seen for the limit"},
		"prepare was killed before it knew the ARN": {[]task.Task{launched(ago(time.Hour), "ssh-ed25519 A", time.Time{})},
			[]Owner{{Record: record.Record{PublicKey: "ssh-ed25519 A", Created: ago(time.Hour)}, LastSeen: ago(time.Hour)}}, true, "its job was not seen for the limit"},
		"cleanup was not finished": {nil,
			[]Owner{{Record: record.Record{TaskARN: "gone", Created: ago(time.Hour), Abandoned: ago(time.Hour)}, LastSeen: ago(time.Hour)}}, true, "its cleanup could not be finished"},
		"record written a moment ago": {nil, []Owner{{Record: record.Record{Created: ago(time.Second)}}}, false, "its job was seen less than the limit ago"},
		"record lost, old":            {[]task.Task{launched(ago(time.Hour), "k", time.Time{})}, nil, true, "no record, and older than the limit"},
		"record lost, young":          {[]task.Task{launched(ago(time.Minute), "k", time.Time{})}, nil, false, "no record, but younger than the limit"},
		"record lost, job may live":   {[]task.Task{launched(ago(time.Hour), "k", now.Add(time.Hour))}, nil, false, "no record, but its job may run until 2023-11-14T23:13:20Z"},
		"record lost, past deadline":  {[]task.Task{launched(ago(time.Hour), "k", ago(time.Minute))}, nil, true, "no record, and its job's deadline has passed"},
		"clock set back while a job runs": {[]task.Task{launched(now.Add(48*time.Hour), "k", time.Time{})},
			[]Owner{{Record: record.Record{TaskARN: "arn", Created: now.Add(48 * time.Hour)}, LastSeen: now.Add(48 * time.Hour)}}, false, "its job was seen less than the limit ago"},
		"clock set forward while a job runs": {[]task.Task{launched(ago(48*time.Hour), "k", ago(47*time.Hour))},
			[]Owner{{Record: record.Record{TaskARN: "arn", Created: ago(48 * time.Hour)}, Alive: true, LastSeen: ago(48 * time.Hour)}}, false, "a stage of the job runs"},
		"clock set back": {[]task.Task{launched(now.Add(48*time.Hour), "k", time.Time{})}, nil, false, "no record, but younger than the limit"},
	} {
		got := Decide(now, limit, test.tasks, test.owners)
		if len(got) != 1 || got[0].Orphan != test.orphan || got[0].Why != test.why {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if got := Decide(now, limit, nil, nil); len(got) != 0 {
		t.Errorf("got %v of nothing", got)
	}
}
