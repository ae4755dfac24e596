package dev.lorikeet.cli.train;

import java.net.InetSocketAddress;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads {@code HOST:PORT} from the command line. */
final class Address implements ITypeConverter<InetSocketAddress> {
  private static final int MOST_PORT = 65_535;

  @Override
  public InetSocketAddress convert(String text) {
    int colon = text.lastIndexOf(':');
    try {
      int port = Integer.parseInt(text.substring(colon + 1));
      if (colon > 0 && port >= 0 && port <= MOST_PORT) {
        InetSocketAddress address = new InetSocketAddress(text.substring(0, colon), port);
        if (address.isUnresolved()) {
          throw new TypeConversionException(
              "expected HOST:PORT of a host that can be found, found '" + text + "'");
        }
        return address;
      }
    } catch (NumberFormatException e) {
      // told below
    }
    throw new TypeConversionException("expected HOST:PORT, found '" + text + "'");
  }
}
