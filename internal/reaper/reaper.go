// Package reaper finds the tasks that no job owns any more. What is an orphan
// is decided by a pure function of what ECS and the task records say; stopping
// them is a thin shell around it.
package reaper

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/fargate"
	"github.com/fargate-driver/fargate-driver/internal/record"
	"github.com/fargate-driver/fargate-driver/internal/task"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// Owner is what is known here of a job that a task may belong to.
type Owner struct {
	Record   record.Record
	Alive    bool      // a stage of the job runs now
	LastSeen time.Time // when the last one ended or was killed
}

// Verdict is the decision about one task, or about a record without a task.
type Verdict struct {
	Task   task.Task // without ARN: ECS shows no task for the record
	Owner  *Owner    // nil: there is no record
	Orphan bool
	Why    string
}

// Decide judges every task that this manager has started, and every record
// whose job is dead. Nothing younger than limit is an orphan.
//
// A job between two of its stages has no process, and gitlab-runner starts the
// next within seconds: a record that was not seen for the limit has no job. A
// task without record may be of a living job only if the record was lost; so
// it must also have passed the deadline that its agent was given.
func Decide(now time.Time, limit time.Duration, tasks []task.Task, owners []Owner) []Verdict {
	var all []Verdict
	used := map[int]bool{}
	for _, t := range tasks {
		v := Verdict{Task: t}
		for i := range owners {
			if owns(owners[i].Record, t) {
				v.Owner, used[i] = &owners[i], true
			}
		}
		v.Orphan, v.Why = judge(now, limit, t, v.Owner)
		all = append(all, v)
	}
	for i := range owners {
		if used[i] {
			continue
		}
		v := Verdict{Owner: &owners[i]}
		v.Orphan, v.Why = dead(now, limit, owners[i])
		all = append(all, v)
	}
	return all
}

func owns(r record.Record, t task.Task) bool {
	return r.TaskARN == t.ARN || fargate.LaunchedWith(t, r.PublicKey)
}

func judge(now time.Time, limit time.Duration, t task.Task, owner *Owner) (bool, string) {
	if owner != nil {
		return dead(now, limit, *owner)
	}
	age := now.Sub(t.CreatedAt)
	if age < limit {
		return false, "no record, but younger than the limit"
	}
	seconds, err := strconv.ParseInt(t.Variable(wire.EnvDeadline), 10, 64)
	if err != nil {
		return true, "no record, and older than the limit"
	}
	if deadline := time.Unix(seconds, 0); now.Before(deadline) {
		return false, "no record, but its job may run until " + deadline.UTC().Format(time.RFC3339)
	}
	return true, "no record, and its job's deadline has passed"
}

func dead(now time.Time, limit time.Duration, o Owner) (bool, string) {
	seen := o.LastSeen
	if o.Record.Created.After(seen) {
		seen = o.Record.Created
	}
	switch {
	case o.Alive:
		return false, "a stage of the job runs"
	case now.Sub(seen) < limit:
		return false, "its job was seen less than the limit ago"
	case !o.Record.Abandoned.IsZero():
		return true, "its cleanup could not be finished"
	}
	return true, "its job was not seen for the limit"
}

// Reaper has what finding and stopping takes.
type Reaper struct {
	ECS       *fargate.Client
	Records   record.Dir
	Cluster   string
	StartedBy string
}

// Look asks ECS and the records, and decides.
func (r Reaper) Look(ctx context.Context, limit time.Duration) ([]Verdict, error) {
	// Tasks first: one that is launched in between then has its record, because
	// records are written before.
	tasks, err := r.ECS.List(ctx, r.Cluster, r.StartedBy)
	if err != nil {
		return nil, err
	}
	records, bad := r.Records.All()
	var owners []Owner
	for _, rec := range records {
		alive, seen, err := r.Records.Held(rec.Key)
		if err != nil {
			return nil, err
		}
		owners = append(owners, Owner{rec, alive, seen})
	}
	return Decide(time.Now(), limit, tasks, owners), bad
}

// Stop ends an orphan and forgets its record.
func (r Reaper) Stop(ctx context.Context, v Verdict) error {
	// A job that came back to life between the look and now keeps its task.
	if v.Owner != nil {
		if alive, _, err := r.Records.Held(v.Owner.Record.Key); err != nil || alive {
			return err
		}
	}
	arn := v.Task.ARN
	if arn == "" && v.Owner != nil {
		arn = v.Owner.Record.TaskARN // stopped long ago, or in another cluster
	}
	if arn != "" {
		cluster := r.Cluster
		if v.Owner != nil {
			cluster = v.Owner.Record.Cluster
		}
		if err := r.ECS.Stop(ctx, cluster, arn, "orphan: "+v.Why); err != nil && !errors.Is(err, fargate.ErrGone) {
			return err
		}
	}
	if v.Owner == nil {
		return nil
	}
	if err := r.Records.Forget(v.Owner.Record); err != nil {
		return fmt.Errorf("forgetting the record of an orphan: %w", err)
	}
	return nil
}
