package dev.lorikeet.files.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.files.family.Families;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

class RopeFrequenciesTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Path REFERENCES =
      Path.of("src/test/resources/dev/lorikeet/files/model/rope.json");

  /** transformers takes powers in float32. */
  private static final double TOLERANCE = 2e-6;

  @TempDir Path directory;

  @TestFactory
  Stream<DynamicTest> frequenciesOfAConfigurationAreThoseOfTransformers() throws IOException {
    return StreamSupport.stream(JSON.readTree(REFERENCES.toFile()).spliterator(), false)
        .map(
            reference ->
                dynamicTest(
                    reference.path("name").textValue(),
                    () -> {
                      Files.write(
                          directory.resolve(ConfigFile.NAME),
                          JSON.writeValueAsBytes(reference.path("config")));
                      var rope =
                          RopeFrequencies.of(
                              Families.read(directory).shape().headDim(),
                              Families.read(directory).attention().ropes().getFirst());
                      double[] expected =
                          JSON.convertValue(reference.path("inverse"), double[].class);
                      double[] inverse = rope.inverse();
                      assertEquals(expected.length, inverse.length);
                      for (int i = 0; i < expected.length; i++) {
                        assertEquals(expected[i], inverse[i], TOLERANCE * expected[i], "at " + i);
                      }
                      assertEquals(reference.path("scale").doubleValue(), rope.scale(), TOLERANCE);
                    }));
  }

  @Test
  void anUnscaledHeadOfFourTurnsByOneAndByTheInverseRootOfTheta() {
    var rope = RopeFrequencies.of(4, 10_000, new RopeScaling.None());
    assertArrayEquals(new double[] {1, 0.01}, rope.inverse(), 1e-15);
    assertEquals(1, rope.scale());
  }

  @Test
  void llama3KeepsFastDimensionsAndDividesSlowOnes() {
    var rope = RopeFrequencies.of(64, 500_000, new RopeScaling.Llama3(8, 1, 4, 8192));
    double[] plain = RopeFrequencies.of(64, 500_000, new RopeScaling.None()).inverse();
    assertEquals(plain[0], rope.inverse()[0]);
    assertEquals(plain[31] / 8, rope.inverse()[31]);
  }
}
