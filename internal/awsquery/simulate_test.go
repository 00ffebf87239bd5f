package awsquery

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// What the stand-in never says: conditions, boundaries, organizations, and an
// answer in two parts.
func TestSimulate(t *testing.T) {
	t.Parallel()
	const result = `<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><EvaluationResults>%s</EvaluationResults>%s</SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.FormValue("PolicySourceArn") != "arn:role" || r.FormValue("ActionNames.member.2") != "a:Two" || r.FormValue("ResourceArns.member.1") != "arn:thing":
			t.Errorf("asked for %v", r.Form)
		case r.FormValue("Marker") == "":
			fmt.Fprintf(w, result, `<member><EvalActionName>a:One</EvalActionName><EvalDecision>allowed</EvalDecision>
				<MissingContextValues><member>k:z</member></MissingContextValues>
				<ResourceSpecificResults><member><MissingContextValues><member>k:a</member><member>k:z</member></MissingContextValues></member></ResourceSpecificResults>
				<MatchedStatements><member><SourcePolicyId>p1</SourcePolicyId></member><member><SourcePolicyId>p2</SourcePolicyId></member></MatchedStatements></member>`,
				`<IsTruncated>true</IsTruncated><Marker>next</Marker>`)
		default:
			fmt.Fprintf(w, result, `<member><EvalActionName>a:Two</EvalActionName><EvalDecision>explicitDeny</EvalDecision>
				<PermissionsBoundaryDecisionDetail><AllowedByPermissionsBoundary>false</AllowedByPermissionsBoundary></PermissionsBoundaryDecisionDetail>
				<OrganizationsDecisionDetail><AllowedByOrganizations>true</AllowedByOrganizations></OrganizationsDecisionDetail></member>`,
				`<IsTruncated>false</IsTruncated>`)
		}
	}))
	defer server.Close()
	c := New(aws.Config{Region: "eu-central-1", BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("A", "s", "")})
	got, err := c.Simulate(t.Context(), "arn:role", []string{"a:One", "a:Two"}, "arn:thing")
	if err != nil {
		t.Fatal(err)
	}
	want := []Decision{
		{Action: "a:One", Allowed: true, Policies: []string{"p1", "p2"}, Conditions: []string{"k:a", "k:z"}},
		{Action: "a:Two", Explicit: true, Boundary: true},
	}
	if len(got) != 2 || !reflect.DeepEqual(got[0], want[0]) || got[1].Action != "a:Two" || !got[1].Explicit || !got[1].Boundary || got[1].Organization || got[1].Allowed {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
