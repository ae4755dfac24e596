package dev.lorikeet.host.serving;

import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Sampling;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.routing.TokenRouter;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.BooleanSupplier;

/** Requests whose undisturbed output is known, many of which begin alike. */
record Catalogue(List<Entry> entries) {
  private static final int ENTRIES = 40;
  private static final int LONGEST_PROMPT = 40;
  private static final int LONGEST_OUTPUT = 24;

  /** What the largest request needs: its blocks and the two largest adapters. */
  static final int MOST_PAGES =
      (LONGEST_PROMPT + LONGEST_OUTPUT + SteppedServing.BLOCK)
              / SteppedServing.BLOCK
              * SteppedServing.BLOCK_PAGES
          + 2 * SteppedServing.LARGEST_ADAPTER_PAGES;

  /** A request and the tokens that it generates undisturbed. */
  record Entry(
      List<Integer> prompt, AdapterChoice choice, Sampling sampling, List<Integer> tokens) {
    GenerationRequest.Builder request(int count) {
      return SteppedServing.request(prompt, count).adapter(choice).sampling(sampling);
    }
  }

  /** Computes the outputs one by one in a pool that has room for everything. */
  static Catalogue compute(ServedModel model, long seed) {
    Random random = new Random(seed);
    List<List<Integer>> beginnings = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      beginnings.add(SteppedServing.prompt(random, LONGEST_PROMPT));
    }
    List<Entry> entries = new ArrayList<>();
    try (SteppedServing stepped =
        new SteppedServing(model, SteppedServing.options(Policy.FCFS, 1, false), 1000)) {
      addRouters(stepped.serving, () -> false);
      for (int i = 0; i < ENTRIES; i++) {
        List<Integer> prompt =
            new ArrayList<>(beginnings.get(i % 4).subList(0, random.nextInt(LONGEST_PROMPT - 8)));
        prompt.addAll(SteppedServing.prompt(random, 1 + random.nextInt(8)));
        Sampling sampling =
            random.nextInt(3) == 0
                ? Sampling.greedy()
                : Sampling.of(0.8f, i).withTopK(50).withTopP(0.95f);
        Entry entry = new Entry(prompt, choice(random, i), sampling, List.of());
        List<Integer> tokens = stepped.run(entry.request(LONGEST_OUTPUT));
        entries.add(new Entry(prompt, entry.choice(), sampling, tokens));
      }
    }
    return new Catalogue(entries);
  }

  private static AdapterChoice choice(Random random, int i) {
    String one = "a" + random.nextInt(SteppedServing.ADAPTERS);
    String other = "a" + (Integer.parseInt(one.substring(1)) + 1) % SteppedServing.ADAPTERS;
    return switch (i % 8) {
      case 0 -> AdapterChoice.none();
      case 1 ->
          AdapterChoice.mixed(
              Mixture.of(new Mixture.Share(one, 0.5f), new Mixture.Share(other, 0.75f)));
      case 2 -> AdapterChoice.routed("plain");
      case 3 -> AdapterChoice.routed("mean");
      default -> AdapterChoice.named(one);
    };
  }

  /** Adds the routers that requests name; they fail when asked to. */
  static void addRouters(Serving serving, BooleanSupplier fails) {
    serving.addRouter("plain", new SignRouter(new RunningContext.None(), fails));
    serving.addRouter("mean", new SignRouter(new RunningContext.MeanEmbedding(0.7f), fails));
  }

  /** Chooses one of two adapters by the sign of a feature. */
  private record SignRouter(RunningContext context, BooleanSupplier fails) implements TokenRouter {
    @Override
    public Experts experts() {
      return new Experts(List.of("a2", "a4"), 1);
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      if (fails.getAsBoolean()) {
        throw new IllegalStateException("failed by the test");
      }
      Tensor rows = in.context().orElse(in.hidden());
      for (int t = 0; t < in.tokens(); t++) {
        float feature =
            rows.segment().get(ValueLayout.JAVA_FLOAT_UNALIGNED, t * rows.rowStrideBytes());
        out.choose(t, feature > 0 ? 1 : 0, 0.9f);
      }
    }
  }
}
