package dev.lorikeet.gates;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Training on the tiny model, with two of its adapters and little of their text. */
class GateTrainerTest {
  private static final List<String> ADAPTERS = List.of("scripture", "jargon");
  private static final Progress SILENT =
      new Progress() {
        @Override
        public void begin(String part, int steps) {}

        @Override
        public void step() {}
      };

  @TempDir Path directory;

  private static List<LabelledText> texts(TinyModel tiny, int words) {
    List<LabelledText> texts = new ArrayList<>();
    for (String name : ADAPTERS) {
      List<String> all = LabelledText.read(name, tiny.trainingText(name)).words();
      texts.add(new LabelledText(name, all.subList(0, words)));
    }
    return texts;
  }

  private static GatePlan plan(GatePlan.Scope scope, long seed) {
    return new GatePlan(
        scope,
        GatePlan.Targets.LIKELIHOOD,
        new RunningContext.None(),
        1,
        0,
        1,
        2e-3,
        new MixedDocument.Mixing(8, 40, 1),
        0.2,
        seed);
  }

  private String gate(GatePlan plan, int words, String name) throws IOException {
    TinyModel tiny = TinyModel.extract();
    try (Lorikeet lorikeet = Lorikeet.builder(tiny.base()).poolBytes(64 << 20).open()) {
      ADAPTERS.forEach(adapter -> lorikeet.register(adapter, tiny.adapter(adapter)));
      Path gate = directory.resolve(name);
      GateTrainer.Outcome outcome =
          GateTrainer.train(lorikeet, texts(tiny, words), plan, gate, SILENT);
      assertTrue(outcome.trainingTokens() > 0 && outcome.validationTokens() > 0, "" + outcome);
      lorikeet.addRouter(name, "gate", Map.of("path", gate.toString()));
      return HexFormat.of().formatHex(Files.readAllBytes(gate.resolve("router.safetensors")))
          + Files.readString(gate.resolve("router.json"));
    }
  }

  @ParameterizedTest
  @EnumSource(GatePlan.Scope.class)
  void theSameSeedAndTextsGiveTheSameGateAndAnotherSeedAnother(GatePlan.Scope scope)
      throws IOException {
    String first = gate(plan(scope, 1), 400, "first");
    assertEquals(first, gate(plan(scope, 1), 400, "second"));
    assertFalse(first.equals(gate(plan(scope, 2), 400, "third")));
  }

  @Test
  void tooLittleTextIsRefused() {
    LorikeetException refused =
        assertThrows(
            LorikeetException.class, () -> gate(plan(GatePlan.Scope.TOKEN, 1), 20, "gate"));
    assertEquals(LorikeetException.Code.INVALID_REQUEST, refused.code());
    assertFalse(Files.exists(directory.resolve("gate")), "nothing was written");
  }
}
