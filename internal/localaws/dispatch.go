package localaws

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// jsonService is a service that speaks AWS JSON 1.1.
type jsonService struct {
	name       string // as in IAM actions: "ecs"
	target     string // what stands before the dot in X-Amz-Target
	operations map[string]operation
}

// operation takes the body of a call and returns the value to answer with, or
// an *Error.
type operation func(ctx context.Context, body []byte) (any, error)

// typed makes an operation of a function of plain values. A member that In does
// not have is refused: a misspelt parameter must not look like a success.
func typed[In, Out any](f func(context.Context, *In) (*Out, error)) operation {
	return func(ctx context.Context, body []byte) (any, error) {
		in := new(In)
		if err := decodeStrictly(body, in); err != nil {
			return nil, err
		}
		return f(ctx, in)
	}
}

// queryOperation is an operation of a service that speaks AWS Query.
type queryOperation struct {
	service  string
	protocol protocol
	do       func(ctx context.Context, form url.Values) (any, error) // the value is encoded as XML
}

// objectService answers what is neither JSON nor Query, which is S3.
type objectService struct {
	handler http.Handler
	// operation names the call: "PutObject".
	operation func(*http.Request) string
}

func (s *Server) addJSON(service *jsonService)                 { s.services[service.target] = service }
func (s *Server) addQuery(name string, op queryOperation)      { s.queries[name] = op }
func (s *Server) addObjects(h objectService)                   { s.objects = h }
func (s *Server) handleControl(pattern string, h http.Handler) { s.control.Handle(pattern, h) }

// The prefix of the stand-in's own addresses. S3 allows no underscore in a
// bucket's name, so it hides no bucket.
const controlPrefix = "/_localaws/"

// maxBody is far above any body that AWS takes from JSON and Query calls.
const maxBody = 8 << 20

// request is one call on its way: what it is and how to do it.
type request struct {
	service   string
	operation string
	protocol  protocol
	body      []byte
	do        func(ctx context.Context, w http.ResponseWriter) error
}

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, controlPrefix) {
		s.control.ServeHTTP(w, r)
		return
	}
	id := requestID()
	w.Header().Set("X-Amzn-Requestid", id)
	call := Call{Time: time.Now(), UserAgent: r.UserAgent()}
	req, err := s.identify(r)
	call.Service, call.Operation, call.Body = req.service, req.operation, req.body
	defer func() {
		if call.Status == 0 { // the connection is being cut
			call.Err = "not answered"
		}
		s.calls.add(call)
		s.logCall(call)
	}()
	seen := &statusWriter{ResponseWriter: w}
	if err == nil {
		err = s.perform(r, req, seen)
	}
	if err != nil {
		e := asError(err)
		call.Err = e.Error()
		req.protocol.writeError(seen, id, e)
	}
	call.Status = seen.status
}

// identify finds out which operation a request calls.
func (s *Server) identify(r *http.Request) (request, error) {
	target := r.Header.Get("X-Amz-Target")
	form := strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	if target == "" && (!form || r.URL.Path != "/") {
		return s.identifyObject(r)
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		return request{protocol: jsonProtocol}, refuse("SerializationException", "reading the request: %v", err)
	}
	req := request{body: body, protocol: jsonProtocol}
	if target != "" {
		err = s.identifyJSON(&req, target)
	} else {
		err = s.identifyQuery(&req)
	}
	// Who takes on a role by a token has nothing to sign with yet.
	if err == nil && r.Header.Get("Authorization") == "" && req.operation != "AssumeRoleWithWebIdentity" {
		err = &Error{Code: "MissingAuthenticationTokenException", Message: "Missing Authentication Token", Status: http.StatusForbidden}
	}
	return req, err
}

func (s *Server) identifyJSON(req *request, target string) error {
	prefix, name, _ := strings.Cut(target, ".")
	req.operation = name
	service := s.services[prefix]
	if service == nil {
		return refuse("UnknownOperationException", "the stand-in has no service %q", prefix)
	}
	req.service = service.name
	operation := service.operations[name]
	if operation == nil {
		return refuse("UnknownOperationException", "the stand-in's %s has no operation %q", service.name, name)
	}
	req.do = func(ctx context.Context, w http.ResponseWriter) error {
		out, err := operation(ctx, req.body)
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, out)
		return nil
	}
	return nil
}

func (s *Server) identifyQuery(req *request) error {
	req.protocol = queryProtocol
	form, err := url.ParseQuery(string(req.body))
	if err != nil {
		return refuse("MalformedQueryString", "%v", err)
	}
	req.operation = form.Get("Action")
	op, ok := s.queries[req.operation]
	if !ok {
		return refuse("InvalidAction", "the stand-in has no action %q", req.operation)
	}
	req.service, req.protocol = op.service, op.protocol
	req.do = func(ctx context.Context, w http.ResponseWriter) error {
		out, err := op.do(ctx, form)
		if err != nil {
			return err
		}
		writeXML(w, http.StatusOK, out)
		return nil
	}
	return nil
}

func (s *Server) identifyObject(r *http.Request) (request, error) {
	req := request{service: "s3", protocol: s3Protocol, operation: r.Method}
	if s.objects.handler == nil {
		return req, &Error{Code: "NotImplemented", Message: "the stand-in has no S3", Status: http.StatusNotImplemented}
	}
	req.operation = s.objects.operation(r)
	req.do = func(ctx context.Context, w http.ResponseWriter) error {
		s.objects.handler.ServeHTTP(w, r.WithContext(ctx))
		return nil
	}
	return req, nil
}

// perform does the call, unless throttling or an ordered failure prevents it.
func (s *Server) perform(r *http.Request, req request, w http.ResponseWriter) error {
	if err := s.throttle.take(req.service, req.operation, 1); err != nil {
		return err
	}
	fault := s.faults.next(req)
	if err := fault.before(r.Context(), s.done); err != nil {
		// What is not read of a body would end the connection before the answer.
		io.Copy(io.Discard, r.Body)
		return err
	}
	// What was begun is finished, as at AWS, even if the client has gone.
	ctx := context.WithValue(context.WithoutCancel(r.Context()), faultKey{}, fault)
	if !fault.afterwards() {
		return req.do(ctx, w)
	}
	answer := &heldResponse{header: w.Header()}
	err := req.do(ctx, answer)
	if !fault.after(r.Context(), s.done) {
		panic(http.ErrAbortHandler) // cuts the connection: the client never learns what was done
	}
	if err == nil {
		answer.send(w)
	}
	return err
}

// asError makes an error of AWS of any error. A mistake of the stand-in itself
// looks like one of AWS's own.
func asError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: "ServerException", Message: err.Error(), Status: http.StatusInternalServerError}
}

// decodeStrictly reads a JSON body into in and refuses members it does not know.
func decodeStrictly(body []byte, in any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(in)
	if err == nil {
		return nil
	}
	if _, name, found := strings.Cut(err.Error(), "unknown field "); found {
		return refuse("InvalidParameterException", "Unknown parameter in input: %s", name)
	}
	return refuse("SerializationException", "%v", err)
}

func requestID() string {
	var b [16]byte
	rand.Read(b[:])
	h := hex.EncodeToString(b[:])
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}

// statusWriter remembers the status it passes on.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// heldResponse keeps the answer of a call that is done but not yet answered.
type heldResponse struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *heldResponse) Header() http.Header         { return h.header }
func (h *heldResponse) Write(p []byte) (int, error) { return h.body.Write(p) }
func (h *heldResponse) WriteHeader(status int)      { h.status = status }

func (h *heldResponse) send(w http.ResponseWriter) {
	if h.status != 0 {
		w.WriteHeader(h.status)
	}
	w.Write(h.body.Bytes())
}
