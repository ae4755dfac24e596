package dev.lorikeet.conformance.store;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.conformance.files.HostileFiles;
import dev.lorikeet.conformance.files.PartFiles;
import dev.lorikeet.conformance.files.PeftFiles;
import dev.lorikeet.conformance.files.PeftFiles.Form;
import dev.lorikeet.conformance.pool.LentPool;
import dev.lorikeet.conformance.trial.Expect;
import dev.lorikeet.conformance.trial.ProviderRules;
import dev.lorikeet.conformance.trial.Trial;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.memory.PoolStats;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** Rules S1 to S8: which files are registered, which are refused. */
abstract class AdapterFileRules extends ProviderRules {
  static final int PAGE_BYTES = 4096;

  @TempDir Path directory = Path.of("");

  private int folders;

  AdapterFileRules() {}

  /** Opens a store that the suite closes. */
  protected abstract AdapterStore createStore(StoreConfig config);

  final PagePool pool(int pages) {
    return new LentPool(PoolConfig.of((long) pages * PAGE_BYTES, PAGE_BYTES));
  }

  final AdapterStore open(PagePool pool) {
    return createStore(StoreConfig.of(PeftFiles.SHAPE, pool).withOptions(options()));
  }

  /** Returns a folder that does not exist yet. */
  final Path folder() {
    return directory.resolve("adapter-" + folders++);
  }

  final PeftFiles random(Form form) {
    return PeftFiles.random(form, trial.random());
  }

  /** Writes and registers an adapter. */
  final AdapterSpec register(AdapterStore store, String id, PeftFiles files) {
    return store.register(new AdapterSource(id, files.write(folder())));
  }

  private void registerAndCheck(AdapterStore store, String id, PeftFiles files) {
    AdapterSpec spec = register(store, id, files);
    assertEquals(id, spec.id(), "id");
    expectTargets(files, spec);
    assertEquals(spec, store.find(id).orElseThrow(), "find");
    assertTrue(store.list().contains(spec), "list: expected " + id);
    try (AdapterLease lease = store.acquire(id)) {
      assertEquals(spec, lease.spec(), "spec of the lease");
    }
  }

  private void registerAndCheckScaling(AdapterStore store, String id, PeftFiles files) {
    AdapterSpec spec = register(store, id, files);
    try (AdapterLease lease = store.acquire(id)) {
      for (TargetSpec expected : files.targets()) {
        float ulp = Math.ulp(expected.scaling());
        float leased = lease.weights(expected.target()).orElseThrow().scaling();
        assertEquals(expected.scaling(), leased, ulp, "scaling of the lease");
        for (TargetSpec found : spec.targets()) {
          if (found.target().equals(expected.target())) {
            assertEquals(expected.scaling(), found.scaling(), ulp, "scaling of the description");
          }
        }
      }
    }
  }

  private void registerAndCheckWeights(AdapterStore store, String id, PeftFiles files) {
    register(store, id, files);
    try (AdapterLease lease = store.acquire(id)) {
      files.expectServedBy(lease);
    }
  }

  /** Opens a store that serves plain adapters rightly; else S3 tells. */
  final AdapterStore sound(PagePool pool) {
    try (PagePool probe = pool(100);
        AdapterStore store = open(probe)) {
      PeftFiles files = random(PeftFiles.form(4));
      register(store, "probe", files);
      AdapterLease lease = store.acquire("probe");
      try (lease) {
        files.expectServedBy(lease);
      }
    } catch (RuntimeException | AssertionError e) {
      throw Trial.notApplicable("S1, S3 or S9 has more to say: " + e.getMessage());
    }
    return open(pool);
  }

  private static void expectTargets(PeftFiles files, AdapterSpec spec) {
    List<TargetSpec> expected = files.targets();
    assertEquals(
        expected.stream().map(TargetSpec::target).toList(),
        spec.targets().stream().map(TargetSpec::target).toList(),
        "target modules");
    for (int i = 0; i < expected.size(); i++) {
      TargetSpec e = expected.get(i);
      TargetSpec f = spec.targets().get(i);
      assertEquals(e.scaling(), f.scaling(), Math.ulp(e.scaling()), "scaling of " + e.target());
      assertEquals(
          e,
          TargetSpec.builder(f.target())
              .rank(f.rank())
              .inFeatures(f.inFeatures())
              .outFeatures(f.outFeatures())
              .scaling(e.scaling())
              .aBlocks(f.aBlocks())
              .bBlocks(f.bBlocks())
              .type(f.type())
              .build(),
          "target");
    }
  }

  @Test
  public final void required_S1_adaptersAreDescribedFaithfully() {
    try (PagePool pool = pool(400);
        AdapterStore store = open(pool)) {
      for (ElementType type : ElementType.values()) {
        Form f = PeftFiles.form(trial.between(1, 20));
        registerAndCheck(
            store,
            "plain " + type,
            random(new Form(f.shape(), f.modules(), f.rank(), f.alpha(), type, f.settings())));
      }
      List<TargetModule> all = PeftFiles.modules(PeftFiles.SHAPE, Projection.ofLayer()).reversed();
      registerAndCheck(
          store, "all", random(new Form(PeftFiles.SHAPE, all, 4, 7, ElementType.F32, Map.of())));
      registerAndCheck(
          store,
          "one",
          random(
              new Form(
                  PeftFiles.SHAPE,
                  List.of(TargetModule.of(1, Projection.O)),
                  1,
                  0.5,
                  ElementType.BF16,
                  Map.of("layers_to_transform", List.of(1), "target_modules", List.of("o_proj")))));
      registerAndCheck(
          store,
          "by expression",
          random(
              new Form(
                  PeftFiles.SHAPE,
                  PeftFiles.modules(PeftFiles.SHAPE, List.of(Projection.K, Projection.V)),
                  2,
                  2,
                  ElementType.F16,
                  Map.of("target_modules", ".*\\.self_attn\\.[kv]_proj"))));
      assertEquals(
          List.of("all", "by expression", "one", "plain BF16", "plain F16", "plain F32"),
          store.list().stream().map(AdapterSpec::id).toList(),
          "list: expected all, sorted by name");
      assertTrue(store.find("nobody").isEmpty(), "find of an unknown name");
    }
  }

  @Test
  public final void required_S2_scalingFollowsRankAlphaAndPatterns() {
    try (PagePool pool = pool(200);
        AdapterStore store = open(pool)) {
      Form base = PeftFiles.form(6);
      registerAndCheckScaling(store, "plain", random(base));
      registerAndCheckScaling(store, "rslora", random(base.with("use_rslora", true)));
      Form patterns =
          base.with("rank_pattern", Map.of("q_proj", 3, "layers.2.self_attn.v_proj", 9))
              .with("alpha_pattern", Map.of("mlp.down_proj", 5, "v_proj", 1.5));
      registerAndCheckScaling(store, "patterns", random(patterns));
      registerAndCheckScaling(store, "both", random(patterns.with("use_rslora", true)));
      // A pattern that is a part of a name, but not its end, is for another module.
      registerAndCheckScaling(
          store, "no match", random(base.with("alpha_pattern", Map.of("proj", 99, "q", 98))));
    }
  }

  @Test
  public final void required_S3_weightsAreThoseOfTheFileBitForBit() {
    try (PagePool pool = pool(600);
        AdapterStore store = open(pool)) {
      for (int round = 0; round < trial.trials(6); round++) {
        ElementType type = List.of(ElementType.values()).get(round % 3);
        Form form =
            new Form(
                PeftFiles.SHAPE,
                PeftFiles.modules(PeftFiles.SHAPE, Projection.ofLayer()),
                trial.between(1, 40),
                16,
                type,
                Map.of());
        PeftFiles files = PeftFiles.random(form, trial.random(), round % 2 == 0 ? 1 : 1e-39);
        registerAndCheckWeights(store, "weights " + round, files);
      }
    }
  }

  @Test
  public final void required_S3_blockDiagonalFactorsKeepTheirBlocks() {
    try (PagePool pool = pool(200);
        AdapterStore store = open(pool)) {
      Map<String, Object> blocks =
          Map.of(
              "target_modules_bd_a",
              List.of("o_proj", "down_proj"),
              "target_modules_bd_b",
              List.of("q_proj", "v_proj", "up_proj"),
              "nblocks",
              4,
              "match_strict",
              true);
      registerAndCheckWeights(
          store,
          "blocks",
          random(
              new Form(
                  PeftFiles.SHAPE,
                  PeftFiles.modules(
                      PeftFiles.SHAPE,
                      List.of(
                          Projection.Q,
                          Projection.V,
                          Projection.O,
                          Projection.UP,
                          Projection.DOWN)),
                  8,
                  16,
                  ElementType.F32,
                  Map.of("use_bdlora", blocks))));
    }
  }

  @Test
  public final void required_S4_aRejectedRegistrationChangesNothing() {
    try (PagePool pool = pool(100);
        AdapterStore store = sound(pool)) {
      PeftFiles good = random(PeftFiles.form(4));
      register(store, "kept", good);
      store.acquire("kept").close();
      List<AdapterSpec> listed = store.list();
      PoolStats before = pool.stats();
      for (HostileFiles hostile : HostileFiles.all(trial.random())) {
        Path folder = folder();
        hostile.write(folder);
        for (String id : List.of("kept", "new")) {
          rejects(store, hostile, id, folder);
          assertEquals(listed, store.list(), () -> "list after " + hostile.what());
          assertTrue(store.find("new").isEmpty(), () -> "find after " + hostile.what());
          assertEquals(before, pool.stats(), () -> "pool after " + hostile.what());
        }
      }
      Expect.rejection(
          "a name that was rejected", Code.ADAPTER_NOT_FOUND, () -> store.acquire("new"));
      try (AdapterLease lease = store.acquire("kept")) {
        good.expectServedBy(lease);
      }
    }
  }

  // Whether the code is right is for other rules to say.
  private static void rejects(AdapterStore store, HostileFiles hostile, String id, Path folder) {
    boolean accepted;
    try {
      store.register(new AdapterSource(id, folder));
      accepted = true;
    } catch (RuntimeException | StackOverflowError e) {
      accepted = false;
    }
    if (accepted) {
      throw Trial.notApplicable("S5 or S6 has more to say: accepted " + hostile.what());
    }
  }

  @Test
  public final void required_S5_damagedAndHostileFilesAreRejected() {
    expectRejections(Code.ADAPTER_INVALID);
  }

  @Test
  public final void required_S6_unsupportedFeaturesAreRejectedByName() {
    expectRejections(Code.ADAPTER_UNSUPPORTED);
  }

  @Test
  public final void required_S18_whatIsBesideFactorsIsServedOrRejectedByName() {
    try (PagePool pool = pool(200);
        AdapterStore store = open(pool)) {
      List<Executable> checks = new ArrayList<>();
      for (PartFiles files : PartFiles.all(trial.random())) {
        Path folder = folder();
        files.write(folder);
        checks.add(() -> expectServedOrRejected(store, files, folder));
      }
      assertAll(checks);
    }
  }

  private static void expectServedOrRejected(AdapterStore store, PartFiles files, Path folder) {
    AdapterSource source = new AdapterSource("parts", folder);
    AdapterSpec spec;
    try {
      spec = store.register(source);
    } catch (LorikeetException e) {
      Expect.rejection(
          files.what(), Code.ADAPTER_UNSUPPORTED, () -> store.register(source), files.name());
      return;
    }
    files.expectDescribedBy(spec);
    try (AdapterLease lease = store.acquire("parts")) {
      files.expectServedBy(lease);
    }
    store.unregister("parts");
  }

  private void expectRejections(Code code) {
    try (PagePool pool = pool(100);
        AdapterStore store = open(pool)) {
      List<Executable> checks = new ArrayList<>();
      for (HostileFiles hostile : HostileFiles.all(trial.random())) {
        if (hostile.code() == code) {
          Path folder = folder();
          hostile.write(folder);
          checks.add(
              () ->
                  Expect.rejection(
                      hostile.what(),
                      code,
                      () -> store.register(new AdapterSource("hostile", folder)),
                      hostile.names()));
        }
      }
      assertAll(checks);
    }
  }

  @Test
  public final void required_S7_sizesThatDoNotFitTheBaseModelAreRejected() {
    try (PagePool pool = pool(100);
        AdapterStore store = open(pool)) {
      var shape = PeftFiles.SHAPE;
      var wider =
          dev.lorikeet.shape.ModelShape.builder()
              .layers(shape.layers())
              .hidden(shape.hidden() + 8)
              .intermediate(shape.intermediate())
              .heads(shape.heads())
              .kvHeads(shape.kvHeads())
              .headDim(shape.headDim())
              .vocabulary(shape.vocabulary())
              .build();
      var moreHeads =
          dev.lorikeet.shape.ModelShape.builder()
              .layers(shape.layers())
              .hidden(shape.hidden())
              .intermediate(shape.intermediate())
              .heads(shape.heads())
              .kvHeads(shape.heads())
              .headDim(shape.headDim())
              .vocabulary(shape.vocabulary())
              .build();
      Form form = PeftFiles.form(4);
      List<Form> misfits =
          List.of(
              new Form(wider, form.modules(), 4, 8, ElementType.F32, Map.of()),
              new Form(
                  moreHeads,
                  List.of(TargetModule.of(0, Projection.V)),
                  4,
                  8,
                  ElementType.F32,
                  Map.of()),
              new Form(
                  shape,
                  List.of(TargetModule.of(shape.layers(), Projection.Q)),
                  4,
                  8,
                  ElementType.F32,
                  Map.of()));
      for (Form misfit : misfits) {
        Expect.rejection(
            "an adapter of another base model",
            Code.ADAPTER_INVALID,
            () -> register(store, "misfit", random(misfit)));
      }
      assertTrue(store.list().isEmpty(), "list after rejections");
    }
  }

  /** Returns how many pages an adapter of this form takes; not applicable if none. */
  final int pagesOf(Form form) {
    try (PagePool pool = pool(2000);
        AdapterStore store = sound(pool)) {
      register(store, "probe", random(form));
      try (AdapterLease lease = store.acquire("probe")) {
        int pages = pool.stats().adapterPages();
        if (pages == 0) {
          throw Trial.notApplicable("the store draws no pages from the pool");
        }
        assertFalse(lease.spec().targets().isEmpty(), "targets");
        return pages;
      }
    }
  }

  @Test
  public final void required_S8_anAdapterLargerThanThePoolIsRejectedAtOnce() {
    Form form = PeftFiles.form(40);
    int pages = pagesOf(form);
    try (PagePool pool = pool(pages - 1);
        AdapterStore store = open(pool)) {
      Expect.rejection(
          "an adapter of " + pages + " pages in a pool of " + (pages - 1),
          Code.TOO_LARGE,
          () -> register(store, "large", random(form)));
      assertEquals(0, pool.stats().usedPages(), "pages after the rejection");
      assertTrue(store.list().isEmpty(), "list after the rejection");
    }
    try (PagePool pool = pool(pages);
        AdapterStore store = open(pool)) {
      register(store, "fits", random(form));
      store.acquire("fits").close();
    }
  }

  @Test
  public final void required_S1_namesWithBlanksAndOtherLettersAreServed() {
    try (PagePool pool = pool(100);
        AdapterStore store = open(pool)) {
      Set<Long> generations = new HashSet<>();
      for (String id : List.of("Kundendienst für Vögel", "a/b\\c", "名前", "x".repeat(200), "..")) {
        generations.add(register(store, id, random(PeftFiles.form(1))).generation());
        assertTrue(store.find(id).isPresent(), () -> "find of " + id);
      }
      assertEquals(5, generations.size(), "generations that differ");
    }
  }
}
