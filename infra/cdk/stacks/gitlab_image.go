package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/render"
)

// registry is this account's ECR.
func (p part) registry() string {
	return p.place.Account + ".dkr.ecr." + p.s.Region + "." + *awscdk.Aws_URL_SUFFIX()
}

// gitlabImage is GitLab's image at Docker Hub: its name, and its tag.
func (p part) gitlabImage() (name, tag string) {
	return "gitlab/gitlab-" + p.s.GitLab.Edition, p.s.GitLab.Version + "-" + p.s.GitLab.Edition + ".0"
}

// addGitLabRepository makes the repository of GitLab's image, if there is to be
// one. It is in the stack that comes before GitLab's, so that the image can be
// there when GitLab starts.
func (n *Network) addGitLabRepository() {
	if n.s.GitLab.Compute == "none" || n.s.GitLab.ImageSource != "ecr" {
		return
	}
	n.repository("GitLabRepository", n.name("gitlab"), n, nil)
	name, tag := n.gitlabImage()
	from, to := "docker.io/"+name+":"+tag, n.registry()+"/"+n.name("gitlab")+":"+tag
	// The architecture may be another one than that of the machine that copies.
	platform := "linux/amd64"
	if n.s.GitLab.Compute == "ec2" && render.IsARM(n.s.GitLab.InstanceType) {
		platform = "linux/arm64"
	}
	n.output("CopyImage", "aws ecr get-login-password --region "+n.s.Region+" | docker login --username AWS --password-stdin "+n.registry()+
		" && docker pull --platform "+platform+" "+from+" && docker tag "+from+" "+to+" && docker push "+to,
		"Next, and before each upgrade: copy GitLab's image, from a machine with Docker and internet")
}

// image is the address of GitLab's image, and the registry to log in to, if
// it needs that.
func (g *GitLab) image() (image, registry string) {
	name, tag := g.gitlabImage()
	switch g.s.GitLab.ImageSource {
	case "ecr":
		name = g.name("gitlab")
	case "pull-through":
		prefix := g.name("docker-hub")
		awsecr.NewCfnPullThroughCacheRule(g.stack, jsii.String("DockerHub"), &awsecr.CfnPullThroughCacheRuleProps{
			EcrRepositoryPrefix: &prefix, UpstreamRegistryUrl: jsii.String("registry-1.docker.io"), CredentialArn: &g.s.GitLab.PullSecret,
		})
		name = prefix + "/" + name
		g.scope.PullThrough = true
	default:
		return "docker.io/" + name + ":" + tag, ""
	}
	g.scope.Repository = g.place.ARN("ecr", "repository/"+name)
	return g.registry() + "/" + name + ":" + tag, g.registry()
}
