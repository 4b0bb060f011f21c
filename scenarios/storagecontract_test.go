package scenarios_test

import (
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/scenarios"
	"github.com/planecheck/planecheck/workloads/contract/store"
)

// Mostly the first two parts of contract/storage, which need no API server; contract/api
// is the third one, and has specs of its own.
var _ = Describe("The contract of a store", func() {
	DescribeTable("is kept by",
		func(ctx SpecContext, backend string) {
			run, _ := runOnce(ctx, scenario("contract/store"), func(o *scenarios.Options) { o.World.Backend = backend })
			Expect(run.Verdict.Outcome).To(BeEquivalentTo(checkers.Pass), run.Verdict.Reason)
			for _, s := range store.Shapes() {
				Expect(outcomeOf(run, string(s))).To(BeEquivalentTo(checkers.Pass), "%s", s)
			}
			for _, name := range []string{"Order", "Reads", "RealTime", "CompactionHonest", "LeaseHonest", "Resumable", "Bookmarkable", "CompactedCancel"} {
				Expect(outcomeOf(run, name)).To(BeEquivalentTo(checkers.Pass), name)
			}
			Expect(run.Settings).NotTo(BeEmpty())
		},
		Entry("etcd", "etcd", Label("quick")),
		Entry("memory", "memory", Label("quick")),
	)

	It("is kept by memory with API servers before it, too", Label("quick"), func(ctx SpecContext) {
		run, _ := runOnce(ctx, scenario("contract/storage"), func(o *scenarios.Options) { o.World.Backend = "memory" })
		Expect(run.Verdict.Outcome).To(BeEquivalentTo(checkers.Pass), run.Verdict.Reason)
		Expect(outcomeOf(run, string(store.Create))).To(BeEquivalentTo(checkers.Pass))
		for _, name := range []string{"NoLostUpdate", "RVMonotonic", "Snapshot", "Delivered"} {
			Expect(outcomeIn(run, checkers.AreaAPI, name)).To(BeEquivalentTo(checkers.Pass), name)
		}
	})

	// What fails with certainty of what docs/findings/README.md lists, and which requests
	// that come one after the other must be answered as the model does: the rest is a
	// matter of time.
	It("is broken by kine on SQLite where that is known, and kept elsewhere", Label("quick"), func(ctx SpecContext) {
		run, _ := runOnce(ctx, scenario("contract/store"), func(o *scenarios.Options) { o.World.Backend = "kine-sqlite" })
		for _, name := range []string{string(store.Stream), string(store.Delete), string(store.WatchFuture), "Replay", "CompactedCancel"} {
			Expect(outcomeOf(run, name)).To(BeEquivalentTo(checkers.Fail), "%s: if kine was mended, say so in docs/findings", name)
		}
		for _, s := range []store.Shape{
			store.Get, store.List, store.Count, store.KeysOnly, store.Create, store.Update, store.Compactor, store.CompactorGet, store.CompactorWatch,
			store.Compact, store.Grant, store.Expiry, store.WatchNow, store.WatchCompacted, store.Status,
		} {
			Expect(outcomeOf(run, string(s))).To(BeEquivalentTo(checkers.Pass), "%s", s)
		}
	})

	It("is seen broken where a store lies, by the shape of the request and by the history", Label("long"), func(ctx SpecContext) {
		run, dir := runOnce(ctx, scenario("contract/store"), func(o *scenarios.Options) {
			o.World.Backend, o.World.Lie = "etcd-process:members=1", "store/wrong-count"
		})
		Expect(run.Lies).To(BeNumerically(">", 0))
		Expect(outcomeOf(run, string(store.Count))).To(BeEquivalentTo(checkers.Fail))
		Expect(outcomeOf(run, "Reads")).To(BeEquivalentTo(checkers.Fail))

		By("putting it into the matrix")
		var out strings.Builder
		Expect((&scenarios.Runner{Out: &out}).Matrix([]string{dir}, "")).To(Succeed())
		Expect(out.String()).To(And(ContainSubstring("| etcd-process:members=1 |"), ContainSubstring("| store | CountAsModel | **Fail** |")))
	})

	It("fails, with the cause, where the store dies on the way", func() {
		c := startCommand("run", "contract/store", "--backend", "etcd-process:members=1")
		c.waitForPhase("traffic")
		Expect(syscall.Kill(c.children("")[0], syscall.SIGKILL)).To(Succeed())
		Expect(c.wait()).To(Equal(scenarios.ExitFail), c.output())
		Expect(c.output()).To(ContainSubstring("the store lost a member that nobody stopped"))
		run, err := results.Load(c.runDir())
		Expect(err).NotTo(HaveOccurred())
		Expect(run.Verdict.Outcome).To(BeEquivalentTo(checkers.Fail))
		Expect(outcomeOf(run, string(store.Create))).To(BeEquivalentTo(checkers.Pass), "what was found before is kept")
		c.expectNothingLeft()
	})
})

func scenario(name string) scenarios.Scenario {
	GinkgoHelper()
	found, err := scenarios.Find(name)
	Expect(err).NotTo(HaveOccurred())
	return found[0]
}

func outcomeOf(run *results.Run, guarantee string) checkers.Outcome {
	GinkgoHelper()
	return outcomeIn(run, checkers.AreaStore, guarantee)
}

func outcomeIn(run *results.Run, area, guarantee string) checkers.Outcome {
	GinkgoHelper()
	for _, v := range run.Verdict.Guarantees {
		if v.Guarantee == guarantee && v.Area == area {
			return v.Outcome
		}
	}
	Fail("nobody judged " + guarantee)
	return ""
}
