// manifest-check FILE...: what Kubernetes' own code says of manifests, without a cluster. Each object
// is decoded strictly, given its defaults and validated as by the API server, and its pods are held
// against the restricted Pod Security Standard as by its admission. Kinds of operators are passed over.
package main

import (
	"bytes"
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/autoscaling"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	autoscalingvalidation "k8s.io/kubernetes/pkg/apis/autoscaling/validation"
	"k8s.io/kubernetes/pkg/apis/batch"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	batchvalidation "k8s.io/kubernetes/pkg/apis/batch/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	"k8s.io/kubernetes/pkg/apis/rbac"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	rbacvalidation "k8s.io/kubernetes/pkg/apis/rbac/validation"
	podsecurity "k8s.io/pod-security-admission/api"
	podsecuritypolicy "k8s.io/pod-security-admission/policy"
)

var decoder = serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict).
	UniversalDeserializer()

func main() {
	evaluator, err := podsecuritypolicy.NewEvaluator(podsecuritypolicy.DefaultChecks())
	if err != nil {
		fail(err)
	}
	objects, faults := 0, 0
	for _, name := range os.Args[1:] {
		text, err := os.ReadFile(name)
		if err != nil {
			fail(err)
		}
		for _, document := range bytes.Split(text, []byte("\n---\n")) {
			found, isKnown := faultsOf(document, evaluator)
			if isKnown {
				objects++
			}
			for _, fault := range found {
				fmt.Printf("%s: %s\n", name, fault)
				faults++
			}
		}
	}
	fmt.Printf("%d objects, %d faults\n", objects, faults)
	if faults > 0 {
		os.Exit(1)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(2)
}

func faultsOf(document []byte, evaluator podsecuritypolicy.Evaluator) ([]string, bool) {
	object, kind, err := decoder.Decode(document, nil, nil)
	if runtime.IsNotRegisteredError(err) {
		return nil, false
	}
	if err != nil {
		return []string{err.Error()}, true
	}
	var faults []string
	if template := templateOf(object); template != nil {
		result := podsecuritypolicy.AggregateCheckResults(evaluator.EvaluatePod(
			podsecurity.LevelVersion{
				Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion(),
			},
			&template.ObjectMeta, &template.Spec))
		if !result.Allowed {
			faults = append(faults, kind.Kind+": "+result.ForbiddenDetail())
		}
	}
	legacyscheme.Scheme.Default(object)
	internal, err := legacyscheme.Scheme.UnsafeConvertToVersion(
		object, runtime.InternalGroupVersioner)
	if err != nil {
		return append(faults, err.Error()), true
	}
	for _, fault := range validate(internal) {
		faults = append(faults, kind.Kind+": "+fault.Error())
	}
	return faults, true
}

func templateOf(object runtime.Object) *corev1.PodTemplateSpec {
	switch object := object.(type) {
	case *appsv1.Deployment:
		return &object.Spec.Template
	case *appsv1.StatefulSet:
		return &object.Spec.Template
	case *batchv1.Job:
		return &object.Spec.Template
	}
	return nil
}

func validate(object runtime.Object) field.ErrorList {
	pods := corevalidation.PodValidationOptions{}
	switch object := object.(type) {
	case *core.Namespace:
		return corevalidation.ValidateNamespace(object)
	case *core.ConfigMap:
		return corevalidation.ValidateConfigMap(object)
	case *core.ServiceAccount:
		return corevalidation.ValidateServiceAccount(object)
	case *core.Service:
		// The API server fills the list before it validates.
		if object.Spec.ClusterIP != "" {
			object.Spec.ClusterIPs = []string{object.Spec.ClusterIP}
		}
		return corevalidation.ValidateServiceCreate(object)
	case *apps.Deployment:
		return appsvalidation.ValidateDeployment(object, pods)
	case *apps.StatefulSet:
		return appsvalidation.ValidateStatefulSet(object, pods)
	case *batch.Job:
		// And it makes a selector for each Job, with the id that it gives it.
		manual := true
		object.Spec.ManualSelector = &manual
		object.Spec.Selector = &metav1.LabelSelector{MatchLabels: object.Spec.Template.Labels}
		return batchvalidation.ValidateJob(
			object, batchvalidation.JobValidationOptions{PodValidationOptions: pods})
	case *networking.NetworkPolicy:
		return networkingvalidation.ValidateNetworkPolicy(
			object, networkingvalidation.NetworkPolicyValidationOptions{})
	case *networking.Ingress:
		return networkingvalidation.ValidateIngressCreate(object)
	case *policy.PodDisruptionBudget:
		return policyvalidation.ValidatePodDisruptionBudget(
			object, policyvalidation.PodDisruptionBudgetValidationOptions{})
	case *autoscaling.HorizontalPodAutoscaler:
		return autoscalingvalidation.ValidateHorizontalPodAutoscaler(
			object,
			autoscalingvalidation.HorizontalPodAutoscalerSpecValidationOptions{
				MinReplicasLowerBound: 1,
			})
	case *rbac.Role:
		return rbacvalidation.ValidateRole(object)
	case *rbac.RoleBinding:
		return rbacvalidation.ValidateRoleBinding(object)
	}
	return field.ErrorList{field.InternalError(nil, fmt.Errorf("nobody validates a %T", object))}
}
