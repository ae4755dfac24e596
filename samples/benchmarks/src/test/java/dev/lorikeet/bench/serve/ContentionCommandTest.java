package dev.lorikeet.bench.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.bench.serve.Contention.Situation;
import java.util.List;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

class ContentionCommandTest {
  private static List<String> titles(String... words) {
    ContentionCommand command = new ContentionCommand();
    new CommandLine(command).setCaseInsensitiveEnumValuesAllowed(true).parseArgs(words);
    return command.situations(2).stream().map(Situation::title).toList();
  }

  @Test
  void everyConditionIsMeasuredUnlessToldOtherwise() {
    assertEquals(
        List.of(
            "quiet",
            "beside 1 busy process",
            "beside 2 busy processes",
            "beside 4 busy processes",
            "with 50 % of a processor",
            "with 150 % of a processor",
            "beside a second Lorikeet",
            "quiet, 4 threads",
            "quiet, 16 threads"),
        titles());
  }

  @Test
  void conditionsCanBeChosen() {
    assertEquals(
        List.of("quiet", "with 25 % of a processor", "beside a second Lorikeet"),
        titles("--conditions", "twin,quota", "--quotas", "25"));
    assertEquals(
        List.of("quiet", "beside 3 busy processes"), titles("--conditions", "BUSY", "--busy", "3"));
  }

  @Test
  void aConditionThatIsNoneIsRefused() {
    var error =
        assertThrows(
            CommandLine.ParameterException.class, () -> titles("--conditions", "neighbours"));
    assertTrue(String.valueOf(error.getMessage()).contains("neighbours"), error.getMessage());
  }

  @Test
  void whatIsLeftOfTheProcessorsIsKnown() {
    assertEquals(0.25, new Situation.Limited(50).left(2, 2));
    assertEquals(0.75, new Situation.Limited(150).left(2, 2));
    assertEquals(1, new Situation.Limited(150).left(2, 1));
    assertEquals(0.5, new Situation.Twin().left(2, 2));
  }
}
