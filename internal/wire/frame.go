package wire

import (
	"encoding/binary"
	"fmt"
)

// ChannelRun is the SSH channel type on which a script runs. Its extra data is
// a Request; what follows on the channel is frames.
const ChannelRun = "run@fargate-driver"

// A Kind says what a frame is. Lower-case kinds are records of the log: they
// are kept until acknowledged, and their bytes, header included, are what
// offsets count. Upper-case kinds are of the connection alone and count
// nothing. A kind that a peer does not know is skipped, and counted if it is
// lower case.
type Kind byte

// Frames from the agent.
const (
	State   Kind = 'S' // first frame: a StateMessage
	Refused Kind = 'R' // last frame: a RefusedMessage
	Stdout  Kind = 'o' // output of the script
	Stderr  Kind = 'e'
	Notice  Kind = 'n' // a NoticeMessage, for the job log
	Exit    Kind = 'x' // last record of the log: an ExitMessage
)

// Frames from the driver. A script that the agent has not seen yet is sent
// before the first of them, as so many bytes as the Request says, unframed.
const (
	Ack    Kind = 'A' // 8 bytes, big endian: the log up to here is safe
	Cancel Kind = 'C' // a CancelMessage
)

// InLog reports whether frames of this kind are records of the log.
func (k Kind) InLog() bool { return k >= 'a' && k <= 'z' }

const (
	// HeaderSize is a frame's kind (1 byte) and payload length (4, big endian).
	HeaderSize = 5
	// MaxFrame is the largest frame, header included: what one SSH packet of
	// the size that every implementation accepts can carry (RFC 4253, 6.1).
	MaxFrame = 32 << 10
	// MaxPayload is the most that a frame carries.
	MaxPayload = MaxFrame - HeaderSize
)

// PutHeader writes a frame's header. b has room for HeaderSize bytes.
func PutHeader(b []byte, k Kind, payload int) {
	b[0] = byte(k)
	binary.BigEndian.PutUint32(b[1:HeaderSize], uint32(payload))
}

// ParseHeader reads a frame's header from the first HeaderSize bytes of b. A
// length above MaxPayload is an error: nobody who speaks this protocol sends it.
func ParseHeader(b []byte) (k Kind, payload int, err error) {
	n := binary.BigEndian.Uint32(b[1:HeaderSize])
	if n > MaxPayload {
		return 0, 0, fmt.Errorf("reading a frame of kind %q: its length %d is above the limit of %d", b[0], n, MaxPayload)
	}
	return Kind(b[0]), int(n), nil
}

// AppendFrame appends a whole frame. The payload is at most MaxPayload bytes.
func AppendFrame(b []byte, k Kind, payload []byte) []byte {
	var header [HeaderSize]byte
	PutHeader(header[:], k, len(payload))
	return append(append(b, header[:]...), payload...)
}

// AppendAck appends an Ack frame: the log up to offset was written where it belongs.
func AppendAck(b []byte, offset int64) []byte {
	return AppendFrame(b, Ack, binary.BigEndian.AppendUint64(nil, uint64(offset)))
}

// ParseAck reads the payload of an Ack frame.
func ParseAck(payload []byte) (offset int64, err error) {
	if len(payload) != 8 {
		return 0, fmt.Errorf("reading an acknowledgement: want 8 bytes, got %d", len(payload))
	}
	n := binary.BigEndian.Uint64(payload)
	if n > 1<<62 {
		return 0, fmt.Errorf("reading an acknowledgement: offset %d is out of range", n)
	}
	return int64(n), nil
}
