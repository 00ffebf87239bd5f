package localaws

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// Bucket says how a bucket is set up. The zero value is an ordinary bucket of
// the stand-in's own account and region.
type Bucket struct {
	Versioned bool
	Owner     string // an account; empty means Account
	Region    string // empty means the stand-in's
	// Denied has every call refused, as without any permission.
	Denied bool
	// NoList answers 403 instead of 404 for a key that is not there, as S3
	// does for callers without s3:ListBucket.
	NoList bool
	// ExpiresIn is what a lifecycle rule leaves every object, told by the
	// x-amz-expiration header; 0 means no rule.
	ExpiresIn time.Duration
}

// storage is the stand-in's S3: gofakes3, with what it lacks around it.
type storage struct {
	server  *Server
	backend *s3mem.Backend
	handler http.Handler

	mu      sync.Mutex
	buckets map[string]Bucket
}

// SourceBucket is there from the start, so that a person can begin at once.
const SourceBucket = "build-source"

func addS3(s *Server) error {
	backend := s3mem.New()
	// Requests carry no dates to check: a skewed clock is a fault of its own.
	fake := gofakes3.New(backend, gofakes3.WithTimeSkewLimit(0))
	s.storage = &storage{server: s, backend: backend, handler: fake.Server(), buckets: map[string]Bucket{}}
	s.addObjects(objectService{handler: s.storage, operation: objectOperation})
	return s.CreateBucket(SourceBucket, Bucket{})
}

// CreateBucket makes a bucket, or changes how an existing one is set up.
func (s *Server) CreateBucket(name string, b Bucket) error {
	exists, err := s.storage.backend.BucketExists(name)
	if err == nil && !exists {
		err = s.storage.backend.CreateBucket(name)
	}
	if err == nil && b.Versioned {
		err = s.storage.backend.SetVersioningConfiguration(name, gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled})
	}
	if err != nil {
		return fmt.Errorf("making the bucket %s: %w", name, err)
	}
	if b.Owner == "" {
		b.Owner = Account
	}
	if b.Region == "" {
		b.Region = s.opts.Region
	}
	s.storage.mu.Lock()
	defer s.storage.mu.Unlock()
	s.storage.buckets[name] = b
	return nil
}

// Object returns the content of an object, and its metadata with the names in
// lower case. ok is false when there is none.
func (s *Server) Object(bucket, key string) (content []byte, metadata map[string]string, ok bool) {
	object, err := s.storage.backend.GetObject(bucket, key, nil)
	if err != nil || object == nil {
		return nil, nil, false
	}
	defer object.Contents.Close()
	if content, err = io.ReadAll(object.Contents); err != nil {
		return nil, nil, false
	}
	metadata = map[string]string{}
	for name, value := range object.Metadata {
		metadata[strings.TrimPrefix(strings.ToLower(name), "x-amz-meta-")] = value
	}
	return content, metadata, true
}

// Objects lists a bucket's keys in order.
func (s *Server) Objects(bucket string) []string {
	prefix := gofakes3.Prefix{}
	list, err := s.storage.backend.ListBucket(bucket, &prefix, gofakes3.ListBucketPage{})
	if err != nil {
		return nil
	}
	var keys []string
	for _, object := range list.Contents {
		keys = append(keys, object.Key)
	}
	return keys
}

// OpenUploads counts a bucket's multipart uploads that are neither complete
// nor aborted: AWS bills them for ever.
func (s *Server) OpenUploads(bucket string) (int, error) {
	r, err := http.NewRequest(http.MethodGet, s.url+"/"+bucket+"?uploads", nil)
	if err != nil {
		return 0, err
	}
	answer := &heldResponse{header: http.Header{}}
	s.storage.handler.ServeHTTP(answer, r)
	var list struct {
		Upload []struct{ UploadID string }
	}
	if err := xml.Unmarshal(answer.body.Bytes(), &list); err != nil {
		return 0, fmt.Errorf("listing the uploads of %s: %w", bucket, err)
	}
	return len(list.Upload), nil
}

// ServeHTTP answers a call: what gofakes3 does not know of comes first.
func (st *storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	st.mu.Lock()
	bucket, known := st.buckets[name]
	st.mu.Unlock()
	if known {
		if err := st.refuses(r, w, name, key, bucket); err != nil {
			s3Protocol.writeError(w, requestID(), err)
			return
		}
	}
	operation := objectOperation(r)
	// The checksum of an aws-chunked body comes after it. What is not read ends
	// the connection.
	defer io.Copy(io.Discard, r.Body)
	if operation != "HeadObject" && operation != "PutObject" && operation != "CompleteMultipartUpload" {
		st.handler.ServeHTTP(w, r)
		return
	}
	if bucket.ExpiresIn > 0 {
		w.Header().Set("x-amz-expiration", fmt.Sprintf(`expiry-date=%q, rule-id="clean-up"`, time.Now().Add(bucket.ExpiresIn).UTC().Format(http.TimeFormat)))
	}
	answer := &heldResponse{header: w.Header()}
	st.handler.ServeHTTP(answer, r)
	if answer.status == 0 || answer.status == http.StatusOK {
		if operation == "HeadObject" && bucket.Versioned && w.Header().Get("x-amz-version-id") == "" {
			if object, err := st.backend.HeadObject(name, key); err == nil {
				w.Header().Set("x-amz-version-id", string(object.VersionID))
				object.Contents.Close()
			}
		}
		if operation != "HeadObject" {
			st.server.objectCreated(name, key, etagOf(answer))
		}
	}
	answer.send(w)
	st.server.bell.ring()
}

// etagOf is the ETag that an upload was answered with: of one in parts it is not
// the content's hash.
func etagOf(answer *heldResponse) string {
	var completed struct{ ETag string }
	if xml.Unmarshal(answer.body.Bytes(), &completed) != nil {
		completed.ETag = answer.header.Get("ETag")
	}
	return strings.Trim(completed.ETag, `"`)
}

var credentialScope = regexp.MustCompile(`Credential=[^/]+/\d+/([^/]+)/s3/`)

// refuses applies what S3 checks before the work.
func (st *storage) refuses(r *http.Request, w http.ResponseWriter, name, key string, b Bucket) *Error {
	denied := &Error{Code: "AccessDenied", Message: "Access Denied", Status: http.StatusForbidden}
	if owner := r.Header.Get("x-amz-expected-bucket-owner"); owner != "" && owner != b.Owner {
		return denied
	}
	if scope := credentialScope.FindStringSubmatch(r.Header.Get("Authorization")); scope != nil && scope[1] != b.Region {
		w.Header().Set("x-amz-bucket-region", b.Region)
		return &Error{
			Code:    "PermanentRedirect",
			Message: "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.",
			Status:  http.StatusMovedPermanently,
		}
	}
	if r.Method == http.MethodHead && key == "" {
		w.Header().Set("x-amz-bucket-region", b.Region)
	}
	if b.Denied {
		return denied
	}
	_, err := st.backend.HeadObject(name, key)
	missing := key != "" && gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchKey)
	switch operation := objectOperation(r); {
	case operation == "HeadObject" && missing && b.NoList:
		return denied
	case operation == "PutObject" && missing && r.Header.Get("If-Match") != "":
		return &Error{Code: "NoSuchKey", Message: "The specified key does not exist.", Status: http.StatusNotFound}
	case operation == "CompleteMultipartUpload" && !missing && r.Header.Get("If-None-Match") == "*":
		return &Error{Code: "PreconditionFailed", Message: "At least one of the pre-conditions you specified did not hold", Status: http.StatusPreconditionFailed}
	}
	return nil
}

// objectOperation names an S3 call by its method and address.
func objectOperation(r *http.Request) string {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := r.URL.Query()
	for _, sub := range []struct{ parameter, method, name string }{
		{"uploads", "POST", "CreateMultipartUpload"},
		{"uploads", "GET", "ListMultipartUploads"},
		{"uploadId", "PUT", "UploadPart"},
		{"uploadId", "POST", "CompleteMultipartUpload"},
		{"uploadId", "DELETE", "AbortMultipartUpload"},
		{"uploadId", "GET", "ListParts"},
		{"versioning", "GET", "GetBucketVersioning"},
		{"versioning", "PUT", "PutBucketVersioning"},
		{"location", "GET", "GetBucketLocation"},
	} {
		if q.Has(sub.parameter) && r.Method == sub.method {
			return sub.name
		}
	}
	kind := "Object"
	if key == "" {
		kind = "Bucket"
	}
	switch r.Method {
	case http.MethodHead:
		return "Head" + kind
	case http.MethodPut:
		if key == "" {
			return "CreateBucket"
		}
		return "PutObject"
	case http.MethodDelete:
		return "Delete" + kind
	case http.MethodGet:
		if key == "" {
			return "ListObjects"
		}
		return "GetObject"
	}
	return r.Method
}

// open returns an object for a build's download, with S3's words if it fails.
func (st *storage) open(bucket, key, version string) (*bytes.Reader, error) {
	var object *gofakes3.Object
	var err error
	if version != "" {
		object, err = st.backend.GetObjectVersion(bucket, key, gofakes3.VersionID(version), nil)
	} else {
		object, err = st.backend.GetObject(bucket, key, nil)
	}
	if err != nil {
		var code gofakes3.ErrorCode
		if errors.As(err, &code) || gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchKey) {
			return nil, errors.New("NoSuchKey: The specified key does not exist. status code: 404")
		}
		return nil, err
	}
	defer object.Contents.Close()
	content, err := io.ReadAll(object.Contents)
	return bytes.NewReader(content), err
}
