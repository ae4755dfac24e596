package dev.lorikeet.cli.console;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;

class WrapTest {
  @Test
  void linesBreakBetweenWordsAndKeepToTheWidth() {
    assertEquals(List.of("the whale", "the whale"), Wrap.lines("the whale the whale", 9));
    assertEquals(List.of("the whale", "the whale"), Wrap.lines("the whale the whale", 12));
    assertEquals(List.of("abcd", "efgh", "i j"), Wrap.lines("abcdefghi j", 4));
    assertEquals(List.of("a", "", "b"), Wrap.lines("a\n\nb", 4));
    assertEquals(List.of(""), Wrap.lines("", 4));
  }

  @Test
  void wideCharactersTakeTwoCells() {
    assertEquals(List.of("鯨鯨", "鯨"), Wrap.lines("鯨鯨鯨", 5));
    assertEquals("鯨鯨 ", Wrap.fit("鯨鯨鯨", 5));
    assertEquals(4, Wrap.cells("鯨鯨"));
  }
}
