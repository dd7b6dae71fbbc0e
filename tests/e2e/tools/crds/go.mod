module keyturn.test/crds

go 1.26.3

require (
	github.com/argoproj/argo-cd/v3 v3.5.7
	github.com/cilium/cilium v1.20.2
)
