#ifndef OPENMMCG_ENGINE_BOX_H_
#define OPENMMCG_ENGINE_BOX_H_

#include <algorithm>
#include <cmath>

namespace OpenMMCG {

/**
 * A periodic box in OpenMM's reduced triclinic form, or no box at all.
 *
 * The box vectors are a = (ax, 0, 0), b = (bx, by, 0), c = (cx, cy, cz), in nm.
 */
struct Box {
    bool periodic = false;
    double a[3] = {0, 0, 0};
    double b[3] = {0, 0, 0};
    double c[3] = {0, 0, 0};

    /**
     * Half of the smallest diagonal element: the largest distance at which a pair has only one
     * image to consider.
     */
    double maxCutoff() const {
        return 0.5 * std::min({a[0], b[1], c[2]});
    }

    /**
     * Fill `shift` with the combination of box vectors that brings `delta` to its minimum image.
     * This is exact for distances up to maxCutoff().
     */
    void minimumImageShift(const double delta[3], double shift[3]) const {
        double nc = -nearest(delta[2] / c[2]);
        double nb = -nearest((delta[1] + nc * c[1]) / b[1]);
        double na = -nearest((delta[0] + nc * c[0] + nb * b[0]) / a[0]);
        shift[0] = na * a[0] + nb * b[0] + nc * c[0];
        shift[1] = nb * b[1] + nc * c[1];
        shift[2] = nc * c[2];
    }

    /**
     * Convert a position to fractional coordinates in [0, 1).
     */
    void toFractional(const double position[3], double fractional[3]) const {
        double sc = position[2] / c[2];
        double sb = (position[1] - sc * c[1]) / b[1];
        double sa = (position[0] - sb * b[0] - sc * c[0]) / a[0];
        fractional[0] = sa - std::floor(sa);
        fractional[1] = sb - std::floor(sb);
        fractional[2] = sc - std::floor(sc);
    }

    /**
     * Fill `width` with the distances between opposite faces of the box, in the order a, b, c.
     */
    void faceDistances(double width[3]) const {
        // Each is the volume over the area of the face that the other two vectors span.
        double volume = a[0] * b[1] * c[2];
        double bcx = b[1] * c[2], bcy = -b[0] * c[2], bcz = b[0] * c[1] - b[1] * c[0];
        width[0] = volume / std::sqrt(bcx * bcx + bcy * bcy + bcz * bcz);
        width[1] = volume / (a[0] * std::sqrt(c[1] * c[1] + c[2] * c[2]));
        width[2] = c[2];
    }

    /**
     * Round to a whole number. Adding 1.5 * 2^52 leaves no bits for a fraction; std::floor() would be a function call
     * on processors without SSE 4.1, for which this is compiled too.
     */
    static double nearest(double x) {
        constexpr double SHIFT = 6755399441055744.0;
        return (x + SHIFT) - SHIFT;
    }

    bool operator==(const Box& other) const {
        return periodic == other.periodic && std::equal(a, a + 3, other.a) && std::equal(b, b + 3, other.b) &&
               std::equal(c, c + 3, other.c);
    }
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_BOX_H_*/
