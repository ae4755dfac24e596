package dev.lorikeet.cli.console;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import picocli.CommandLine.TypeConversionException;

class ByteSizeTest {
  private final ByteSize size = new ByteSize();

  @Test
  void unitsArePowersOf1024() {
    assertEquals(512L << 20, size.convert("512M"));
    assertEquals(512L << 20, size.convert("512MiB"));
    assertEquals(8L << 30, size.convert("8g"));
    assertEquals(4096, size.convert("4096"));
  }

  @Test
  void whatIsNoSizeIsRefused() {
    for (String bad : new String[] {"", "M", "-1", "1.5G", "1X", "9999999999T", "1 G"}) {
      assertThrows(TypeConversionException.class, () -> size.convert(bad), bad);
    }
  }

  @Test
  void sizesAreShownInTheLargestUnitThatFits() {
    assertEquals("64 KiB", ByteSize.text(64 * 1024));
    assertEquals("1.5 MiB", ByteSize.text(3 << 19));
    assertEquals("100 B", ByteSize.text(100));
  }
}
