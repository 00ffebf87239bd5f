package localaws

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
)

// Error is an answer of AWS that is no success.
type Error struct {
	Code    string
	Message string
	Status  int            // HTTP status; 0 means 400
	Fields  map[string]any // further members of the answer, as resourceIds
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func (e *Error) status() int {
	if e.Status == 0 {
		return http.StatusBadRequest
	}
	return e.Status
}

// refuse returns the error of AWS with this code and message.
func refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// protocol is how a service writes its answers.
type protocol int

const (
	jsonProtocol  protocol = iota // AWS JSON 1.1: ECS, CodeBuild, CloudWatch Logs, CodeDeploy
	ec2Protocol                   // EC2's form of AWS Query
	queryProtocol                 // AWS Query: IAM, STS
	s3Protocol                    // REST with XML
)

// writeError writes e as the SDK expects it from a service of this protocol.
func (p protocol) writeError(w http.ResponseWriter, requestID string, e *Error) {
	if p == jsonProtocol {
		body := map[string]any{"__type": e.Code, "message": e.Message}
		maps.Copy(body, e.Fields)
		writeJSON(w, e.status(), body)
		return
	}
	type xmlError struct {
		Type      string `xml:"Type,omitempty"`
		Code      string
		Message   string
		RequestID string `xml:"RequestId,omitempty"`
	}
	var body any
	switch p {
	case ec2Protocol:
		body = struct {
			XMLName   xml.Name `xml:"Response"`
			Error     xmlError `xml:"Errors>Error"`
			RequestID string
		}{Error: xmlError{Code: e.Code, Message: e.Message}, RequestID: requestID}
	case queryProtocol:
		kind := "Sender"
		if e.status() >= 500 {
			kind = "Receiver"
		}
		body = struct {
			XMLName   xml.Name `xml:"ErrorResponse"`
			Error     xmlError
			RequestID string `xml:"RequestId"`
		}{Error: xmlError{Type: kind, Code: e.Code, Message: e.Message}, RequestID: requestID}
	default:
		body = struct {
			XMLName xml.Name `xml:"Error"`
			xmlError
		}{xmlError: xmlError{Code: e.Code, Message: e.Message, RequestID: requestID}}
	}
	writeXML(w, e.status(), body)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	w.Write(data)
}

func writeXML(w http.ResponseWriter, status int, v any) {
	data, err := xml.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	w.Write([]byte(xml.Header))
	w.Write(data)
}
