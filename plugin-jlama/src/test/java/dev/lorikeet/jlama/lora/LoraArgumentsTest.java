package dev.lorikeet.jlama.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A call that does not fit is refused with the reason before anything is written. */
class LoraArgumentsTest {
  /** The two executors. */
  enum Kind {
    SCALAR,
    VECTOR;

    LoraExecutor open() {
      return this == SCALAR ? new ScalarLoraExecutor() : new VectorLoraExecutor(Workers.SINGLE);
    }
  }

  private final Arena arena = Arena.ofShared();
  private final SplittableRandom random = new SplittableRandom(1);
  private final TargetGroup group = TargetGroup.of(0, Projection.GATE, Projection.UP);
  private final TestAdapter adapter =
      TestAdapter.builder(arena, random)
          .add(group.targets().get(0), 24, 16, 4, 1, 1, ElementType.BF16, 1)
          .add(group.targets().get(1), 24, 16, 4, 1, 1, ElementType.BF16, 1)
          .build("thin");
  private final LoraBatch batch = new LoraBatch().reset(3).beginSegment(adapter).add(1, 1);
  private final Tensor x = LoraCase.activations(arena, random, 3, 24);
  private final Tensor gate = LoraCase.activations(arena, random, 3, 16);
  private final Tensor up = LoraCase.activations(arena, random, 3, 16);
  private MemorySegment gateBefore = MemorySegment.NULL;

  @BeforeEach
  void remember() {
    gateBefore = arena.allocate(gate.segment().byteSize()).copyFrom(gate.segment());
  }

  @AfterEach
  void free() {
    arena.close();
  }

  private void refuses(LoraExecutor executor, Tensor x, List<Tensor> y, String... words) {
    var e =
        assertThrows(IllegalArgumentException.class, () -> executor.addDelta(group, batch, x, y));
    for (String word : words) {
      assertTrue(String.valueOf(e.getMessage()).contains(word), String.valueOf(e.getMessage()));
    }
    assertEquals(-1, gateBefore.mismatch(gate.segment()), "nothing was written");
  }

  private static Tensor like(Tensor t, UnaryOperator<Tensor> change) {
    return change.apply(t);
  }

  @ParameterizedTest
  @EnumSource(Kind.class)
  void unfitTensorsAreRefusedByName(Kind kind) {
    try (LoraExecutor executor = kind.open()) {
      Tensor narrow = LoraCase.activations(arena, random, 3, 23);
      Tensor shortX = LoraCase.activations(arena, random, 2, 24);
      Tensor wide = LoraCase.activations(arena, random, 3, 17);
      Tensor half = Tensor.host(arena.allocate(96), ElementType.BF16, 3, 16);
      Tensor away =
          like(up, t -> new Tensor(t.segment(), t.type(), 3, 16, 16, new Device("cuda", 0)));
      Tensor fixed =
          like(up, t -> new Tensor(t.segment().asReadOnly(), t.type(), 3, 16, 16, t.device()));
      refuses(executor, x, List.of(gate), "expected 2 outputs");
      refuses(executor, narrow, List.of(gate, up), "thin", "gate_proj", "23 features");
      refuses(executor, shortX, List.of(gate, up), "x:", "3 tokens");
      refuses(executor, x, List.of(gate, wide), "thin", "up_proj", "factor B of 17 features");
      refuses(executor, x, List.of(gate, half), "y:", "F32");
      refuses(executor, x, List.of(gate, away), "host", "cuda:0");
      refuses(executor, x, List.of(gate, fixed), "writable");
      refuses(executor, x, List.of(gate, gate), "overlap");
    }
  }

  @ParameterizedTest
  @EnumSource(Kind.class)
  void slicesOfOneFusedOutputDoNotOverlap(Kind kind) {
    try (LoraExecutor executor = kind.open()) {
      MemorySegment fused = arena.allocate(4 * 3 * 32);
      Tensor first = new Tensor(fused, ElementType.F32, 3, 16, 32, Device.HOST);
      Tensor second = new Tensor(fused.asSlice(64), ElementType.F32, 3, 16, 32, Device.HOST);
      executor.addDelta(group, batch, x, List.of(first, second));
      assertFalse(LoraArguments.overlap(first, second));
      Tensor crossing = new Tensor(fused.asSlice(60), ElementType.F32, 3, 16, 32, Device.HOST);
      refuses(executor, x, List.of(first, crossing), "overlap");
    }
  }

  @ParameterizedTest
  @EnumSource(Kind.class)
  void closedLeasesAndExecutorsAreRefused(Kind kind) {
    try (LoraExecutor executor = kind.open()) {
      adapter.close();
      assertThrows(
          IllegalStateException.class, () -> executor.addDelta(group, batch, x, List.of(gate, up)));
      executor.close();
      executor.close();
      LoraBatch none = new LoraBatch().reset(3);
      assertThrows(
          IllegalStateException.class, () -> executor.addDelta(group, none, x, List.of(gate, up)));
      assertEquals(-1, gateBefore.mismatch(gate.segment()));
    }
  }

  @ParameterizedTest
  @EnumSource(Kind.class)
  void freedMemoryIsRefused(Kind kind) {
    try (LoraExecutor executor = kind.open()) {
      Tensor freed;
      try (Arena gone = Arena.ofConfined()) {
        freed = LoraCase.activations(gone, random, 3, 24);
      }
      assertThrows(
          IllegalStateException.class,
          () -> executor.addDelta(group, batch, freed, List.of(gate, up)));
    }
  }
}
