package wire_test

import (
	"testing"

	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// FuzzParseRequest looks for what makes the agent accept a request that it does
// not understand. Whatever is accepted means the same when it is sent on.
func FuzzParseRequest(f *testing.F) {
	f.Add(wire.Request{Protocol: 1, ID: "job", Size: 100, Offset: 5, Client: "c", Instance: "i", ResumeLimit: 1, Grace: 1, Silence: 1}.Marshal())
	f.Add([]byte("id=x\n"))
	f.Add([]byte("id=x\nid=y\n"))
	f.Add([]byte("id=\xff\x00\nsize=1e9\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		request, err := wire.ParseRequest(b)
		if err != nil {
			return
		}
		if request.ID == "" || request.Size < 0 || request.Size > wire.MaxScript || request.Offset < wire.FromOldest || request.Grace < 0 {
			t.Fatalf("accepted: %+v", request)
		}
		again, err := wire.ParseRequest(request.Marshal())
		if err != nil || again.Size != request.Size || again.Offset != request.Offset {
			t.Fatalf("%+v became %+v, %v", request, again, err)
		}
	})
}

// FuzzFrames reads any bytes as a stream of frames, as both ends do.
func FuzzFrames(f *testing.F) {
	f.Add(wire.AppendAck(wire.AppendFrame(nil, wire.Cancel, wire.CancelMessage{Grace: 5}.Marshal()), 77))
	f.Add(wire.AppendFrame(nil, wire.Exit, wire.ExitMessage{Code: 1, Cause: wire.CauseScript}.Marshal()))
	f.Add([]byte{'o', 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) >= wire.HeaderSize {
			kind, size, err := wire.ParseHeader(b)
			if err != nil {
				return
			}
			if size > wire.MaxPayload {
				t.Fatalf("a payload of %d bytes", size)
			}
			if len(b) < wire.HeaderSize+size {
				return
			}
			payload := b[wire.HeaderSize : wire.HeaderSize+size]
			b = b[wire.HeaderSize+size:]
			switch kind {
			case wire.Ack:
				if offset, err := wire.ParseAck(payload); err == nil && offset < 0 {
					t.Fatalf("offset %d", offset)
				}
			case wire.Cancel:
				if cancel, err := wire.ParseCancel(payload); err == nil && cancel.Grace < 0 {
					t.Fatalf("grace %s", cancel.Grace)
				}
			case wire.State:
				wire.ParseState(payload)
			case wire.Notice:
				wire.ParseNotice(payload)
			case wire.Exit:
				if exit, err := wire.ParseExit(payload); err == nil && (exit.Code < 0 || exit.Code > 255) {
					t.Fatalf("code %d", exit.Code)
				}
			}
		}
	})
}
