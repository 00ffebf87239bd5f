// Package grace gives what must not be cut off a little longer than the
// context that it belongs to: the answer that has the id of what is to be
// undone, and the undoing itself.
package grace

import (
	"context"
	"time"
)

// Period returns a context that ends so long after ctx has ended, and not
// before. It counts from now if ctx has ended already: all that belongs to one
// ending is to be made beforehand, so that it shares the time and does not add
// it up. Its values are those of ctx.
func Period(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(d):
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() {
		stop()
		cancel()
	}
}
