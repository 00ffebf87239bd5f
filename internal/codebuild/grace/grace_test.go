package grace

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestPeriod(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(context.Background())
		short, cancelShort := Period(ctx, 2*time.Second)
		defer cancelShort()
		long, cancelLong := Period(ctx, 5*time.Second)
		defer cancelLong()
		given, giveBack := Period(ctx, time.Hour)
		giveBack()
		if given.Err() == nil {
			t.Error("a period that was given back goes on")
		}

		time.Sleep(time.Hour)
		if short.Err() != nil {
			t.Fatal("it has ended before its context")
		}
		end()
		begun := time.Now()
		<-short.Done()
		<-long.Done()
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("both have ended after %s, want the longer one's 5s", took)
		}
		late, cancelLate := Period(ctx, time.Second)
		defer cancelLate()
		<-late.Done()
		if took := time.Since(begun); took != 6*time.Second {
			t.Errorf("one made at the end has ended after %s, want a second of its own", took)
		}
	})
}
